// The recent requests: attempts of one request stand together, failures say why.

import { find, keep, make, name } from "./dom.js";
import { compact, dollars, exact, exactDollars, fill, milliseconds, texts, utc, whole } from "./format.js";
import { show } from "./links.js";
import { head } from "./tables.js";

const SHOWN = 25;
const COLUMNS = [
  ["time", ""], ["account", ""], ["model", ""], ["client", ""], ["input_tokens", "number"], ["output_tokens", "number"],
  ["total_tokens", "number"], ["cost_dollars", "number"], ["latency", "number"], ["status", ""], ["request_id", ""],
];

// Newest first; the other attempts of a request follow its newest one.
function together(rows) {
  const groups = new Map();
  for (const row of rows) {
    const key = row.request_id || `#${row.id}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()].flatMap((group) => group.map((row, at) => ({ ...row, at, of: group.length })));
}

export function requests(page, choose) {
  const rows = (page.rows.requests ?? []).slice(0, SHOWN);
  const table = find("table-requests");
  head(table, COLUMNS);
  const shown = rows.length ? together(rows).map((row) => ({ ...row, proxy: page.several && !page.state.proxy ? row.proxy : "" })) : [{ id: "none" }];
  keep(table.tBodies[0], shown, (row) => row.id, (row) => draw(row, choose));
  const isMore = (page.rows.requests ?? []).length > SHOWN;
  find("older").hidden = !isMore;
  find("older").onclick = () => choose({ before: String(rows.at(-1).id) });
  find("newest").hidden = !page.state.before;
  find("newest").onclick = () => choose({ before: "" });
}

const count = (value) => make("td", { class: value ? "number" : "number nil", title: whole(value) }, compact(value));

function draw(row, choose) {
  if (row.id === "none") return make("tr", {}, make("td", { colspan: String(COLUMNS.length), class: "blank" }, texts.nothing_here));
  const isAgain = row.at > 0;
  return make("tr", { class: [row.failed ? "failed" : "", row.of > 1 ? "tied" : "", isAgain ? "again" : ""].join(" ").trim(), "data-id": String(row.id) },
    make("td", { title: exact(row.occurred_at) }, row.local_time.slice(5)),
    make("td", {}, name(row.account), row.proxy ? make("small", {}, name(row.proxy)) : null),
    make("td", {}, name(row.model), row.alias && row.alias !== row.model ? make("small", {}, name(row.alias)) : null),
    make("td", {}, name(row.client)),
    count(row.input_tokens), count(row.output_tokens), count(row.total_tokens),
    make("td", { class: "number", title: row.cost_dollars === null ? null : exactDollars(row.cost_dollars) }, dollars(row.cost_dollars)),
    make("td", { class: "number", title: row.ttft_ms ? fill(texts.first_token, { time: milliseconds(row.ttft_ms) }) : null }, milliseconds(row.latency_ms)),
    status(row),
    make("td", {}, row.request_id ? idButton(row, choose) : "–"));
}

function status(row) {
  if (!row.failed) return make("td", {}, make("span", { class: "badge yes" }, texts.ok));
  const why = [row.code, row.message].filter(Boolean).join(": ");
  return make("td", { class: "why" },
    make("span", { class: "badge no" }, `${texts.fail}${row.status_code ? ` ${row.status_code}` : ""}`),
    why ? make("small", { title: why.slice(0, 600), dir: "auto" }, why) : null);
}

function idButton(row, choose) {
  const tied = row.of > 1 ? ` · ${fill(texts.attempts, { n: row.of })}` : "";
  return make("button", {
    type: "button", class: "name id", title: row.request_id.slice(0, 300), "data-focus": "id",
    on: { click: () => choose({ request_id: row.request_id, before: "" }) },
  }, make("bdi", {}, `${row.request_id.slice(0, 8)}`), row.at === 0 ? tied : "");
}
