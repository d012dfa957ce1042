// The tables of accounts, models and clients: a row opens as a filter.

import { find, keep, make, name } from "./dom.js";
import { compact, dollars, exactDollars, fill, texts, whole } from "./format.js";

const SHOWN = 10;
const MEASURES = ["requests", "failed", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "total_tokens", "cost_dollars"];
const KEYS = { accounts: "account", models: "model", clients: "client" };

export function cell(measure, value) {
  const isCost = measure === "cost_dollars";
  const title = value === null ? null : (isCost ? exactDollars : whole)(value);
  return make("td", { class: value ? "number" : "number nil", title }, (isCost ? dollars : compact)(value));
}

export function head(table, columns) {
  if (table.tHead) return;
  const cells = columns.map(([column, kind]) => make("th", { scope: "col", class: kind }, texts.columns[column] ?? column));
  table.append(make("thead", {}, make("tr", {}, ...cells)), make("tbody"));
}

export function tables(page, acts) {
  for (const [id, key] of Object.entries(KEYS)) table(page, { id, key, ...acts });
}

function table(page, { id, key, choose, toggle }) {
  const rows = page.rows[id] ?? [];
  const element = find(`table-${id}`);
  const columns = [[key, ""], ...(id === "accounts" ? [["provider", ""]] : []), ...MEASURES.map((measure) => [measure, "number"])];
  head(element, columns);
  const most = Math.max(1, ...rows.map((row) => row.total_tokens));
  const shown = rows.map((row) => ({
    ...row, isChosen: page.state[key] === row[key], share: Math.round((100 * row.total_tokens) / most),
  }));
  keep(element.tBodies[0], shown.length ? shown : [{ none: true }], (row) => row.account_id ?? row[key] ?? "none", (row) => {
    if (row.none) return make("tr", {}, make("td", { colspan: String(columns.length), class: "blank" }, texts.nothing_here));
    return make("tr", { class: row.isChosen ? "chosen" : "" },
      make("th", { scope: "row" }, nameButton(row, key, choose)),
      id === "accounts" ? make("td", {}, name(row.provider)) : null,
      ...MEASURES.map((measure) => cell(measure, row[measure])));
  });
  const count = page.sections[id]?.count ?? 0;
  find(`${id}-count`).textContent = count ? whole(count) : "";
  more(find(`${id}-more`), { count, isOpen: page.opened.has(id), act: () => toggle(id) });
}

function nameButton(row, key, choose) {
  const filter = () => choose({ [key]: row.isChosen ? "" : row[key], before: "" });
  return make("button", {
    type: "button", class: "name", "aria-pressed": String(row.isChosen), "data-focus": "name",
    title: fill(texts.filter_by, { name: row[key].slice(0, 300) }), on: { click: filter },
  }, make("bdi", {}, row[key]));
}

export function more(button, { count, isOpen, act }, shown = SHOWN) {
  button.hidden = count <= shown;
  button.setAttribute("aria-expanded", String(isOpen));
  const text = isOpen ? texts.show_less : fill(texts.show_all, { n: whole(count) });
  if (button.textContent !== text) button.textContent = text;
  button.onclick = act;
}
