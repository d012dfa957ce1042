// The tables of accounts, models and clients: a click on a name filters by it.

import { bdi, find, make, setText, settings, update } from "./dom.js";
import { atLeast, compact, exactCost, fill, texts, whole } from "./format.js";

const MEASURES = ["requests", "failed", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "total_tokens", "cost_dollars"];
const KEYS = { accounts: "account", models: "model", clients: "client" };

export function numberCell(row, measure) {
  const value = measure === "failed" ? row.failed - (row.cancelled ?? 0) : row[measure];
  if (measure === "failed" && row.cancelled) return make("td", { class: value ? "number" : "number nil", title: fill(texts.failed_and_cancelled, { n: whole(value), cancelled: whole(row.cancelled) }) }, compact(value));
  if (measure === "cost_dollars") return costCell(value, row.unpriced);
  return make("td", { class: value ? "number" : "number nil", title: value === null ? null : whole(value) }, compact(value));
}

function costCell(dollars, unpriced) {
  const title = dollars === null ? null : exactCost(dollars, unpriced);
  return make("td", { class: dollars || unpriced ? "number" : "number nil", title }, atLeast(dollars, unpriced));
}

export function emptyRow(columns) {
  return make("tr", {}, make("td", { colspan: String(columns.length), class: "blank" }, texts.nothing_here));
}

// Add the head and body of a table, once. Columns are pairs of a name and a class.
export function addHead(table, columns) {
  if (table.tHead) return;
  const cells = columns.map(([column, kind]) => make("th", { scope: "col", class: kind }, texts.columns[column] ?? column));
  table.append(make("thead", {}, make("tr", {}, ...cells)), make("tbody"));
}

export function showTables(page, actions) {
  for (const [id, key] of Object.entries(KEYS)) showTable(page, { id, key, ...actions });
}

function showTable(page, { id, key, choose, toggle }) {
  const table = find(`table-${id}`);
  const columns = [[key, ""], ...(id === "accounts" ? [["provider", ""]] : []), ...MEASURES.map((measure) => [measure, "number"])];
  addHead(table, columns);
  const rows = (page.rows[id] ?? []).map((row) => ({ ...row, isSelected: page.state[key] === row[key] }));
  update(table.tBodies[0], rows.length ? rows : [{ isEmpty: true }], (row) => row.account_id ?? row[key] ?? "none", (row) => {
    if (row.isEmpty) return emptyRow(columns);
    return make("tr", { class: row.isSelected ? "selected" : "" },
      make("th", { scope: "row" }, nameButton(row, key, choose)),
      id === "accounts" ? make("td", {}, bdi(row.provider)) : null,
      ...MEASURES.map((measure) => numberCell(row, measure)));
  });
  const count = page.sections[id]?.count ?? 0;
  find(`${id}-count`).textContent = count ? whole(count) : "";
  showMoreButton(find(`${id}-more`), { count, shown: settings.rows_shown, isOpen: page.opened.has(id), onClick: () => toggle(id) });
}

function nameButton(row, key, choose) {
  const filter = () => choose({ [key]: row.isSelected ? "" : row[key], before: "" });
  return make("button", {
    type: "button", class: "name", "aria-pressed": String(row.isSelected), "data-focus": "name",
    title: fill(texts.filter_by, { name: row[key].slice(0, 300) }), on: { click: filter },
  }, make("bdi", {}, row[key]));
}

// The button that opens a list of more than `shown` rows, or closes it again.
export function showMoreButton(button, { count, shown, isOpen, onClick }) {
  button.hidden = count <= shown;
  button.setAttribute("aria-expanded", String(isOpen));
  setText(button, isOpen ? texts.show_less : fill(texts.show_all, { n: whole(count) }));
  button.onclick = onClick;
}
