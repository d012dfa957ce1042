// The recent requests: the attempts of one request stand together, and a failure shows its reason.

import { bdi, find, make, settings, update } from "./dom.js";
import { atLeast, exact, exactMoney, fill, milliseconds, texts } from "./format.js";
import { addHead, emptyRow, numberCell } from "./tables.js";

const COLUMNS = [
  ["time", ""], ["account", ""], ["model", ""], ["client", ""], ["input_tokens", "number"], ["output_tokens", "number"],
  ["total_tokens", "number"], ["cost_dollars", "number"], ["latency", "number"], ["status", ""], ["request_id", ""],
];

// Newest first; the other attempts of a request follow its newest one.
function groupAttempts(rows) {
  const groups = new Map();
  for (const row of rows) {
    const key = row.request_id || `#${row.id}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()].flatMap((group) => group.map((row, index) => ({ ...row, index, attempts: group.length })));
}

export function showRequests(page, choose) {
  const all = page.rows.requests ?? [];
  const rows = all.slice(0, settings.requests_shown);
  const table = find("table-requests");
  addHead(table, COLUMNS);
  const hasProxy = page.several && !page.state.proxy;
  const shown = groupAttempts(rows).map((row) => ({ ...row, proxy: hasProxy ? row.proxy : "" }));
  update(table.tBodies[0], shown.length ? shown : [{ id: "none" }], (row) => row.id, (row) => draw(row, choose));
  find("older").hidden = all.length <= settings.requests_shown;
  find("older").onclick = () => choose({ before: String(rows.at(-1).id) });
  find("newest").hidden = !page.state.before;
  find("newest").onclick = () => choose({ before: "" });
}

function draw(row, choose) {
  if (row.id === "none") return emptyRow(COLUMNS);
  return make("tr", { class: [row.failed ? "failed" : "", row.attempts > 1 ? "tied" : "", row.index > 0 ? "again" : ""].join(" ").trim(), "data-id": String(row.id) },
    make("td", { title: exact(row.occurred_at) }, row.local_time.slice(5)),
    make("td", {}, bdi(row.account), row.proxy ? make("small", {}, bdi(row.proxy)) : null),
    make("td", {}, bdi(row.model), row.alias && row.alias !== row.model ? make("small", {}, bdi(row.alias)) : null),
    make("td", {}, bdi(row.client)),
    ...["input_tokens", "output_tokens", "total_tokens"].map((measure) => numberCell(row, measure)),
    make("td", { class: "number", title: priceOf(row) }, row.cost_dollars === null ? "–" : atLeast(row.cost_dollars, row.cost_reason)),
    make("td", { class: "number", title: row.ttft_ms ? fill(texts.first_token, { time: milliseconds(row.ttft_ms) }) : null }, milliseconds(row.latency_ms)),
    statusCell(row),
    make("td", {}, row.request_id ? idButton(row, choose) : "–"));
}

// The exact cost or why there is none, the price that it was worked out by, and both service tiers.
function priceOf(row) {
  const tiers = [row.service_tier, row.answered_tier].filter(Boolean).join(" → ");
  const reason = row.cost_reason && (texts.cost_reasons[row.cost_reason] ?? row.cost_reason);
  const cost = row.cost_dollars === null ? null : exactMoney(row.cost_dollars);
  return [cost, reason, row.price_model, tiers].filter(Boolean).join("\n") || null;
}

function statusCell(row) {
  if (!row.failed) return make("td", {}, make("span", { class: "badge yes" }, texts.ok));
  const reason = [row.code, row.message].filter(Boolean).join(": ");
  return make("td", { class: "why" },
    make("span", { class: "badge no" }, `${row.cancelled ? texts.cancelled : texts.failed}${row.status_code ? ` ${row.status_code}` : ""}`),
    reason ? make("small", { title: reason.slice(0, 600), dir: "auto" }, reason) : null);
}

function idButton(row, choose) {
  const attempts = row.attempts > 1 ? ` · ${fill(texts.attempts, { n: row.attempts })}` : "";
  return make("button", {
    type: "button", class: "name id", title: row.request_id.slice(0, 300), "data-focus": "id",
    on: { click: () => choose({ request_id: row.request_id, before: "" }) },
  }, make("bdi", {}, row.request_id.slice(0, 8)), row.index === 0 ? attempts : "");
}
