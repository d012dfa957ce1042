// The controls: each changes the address, and the page follows the address.

import { find, isNew, make, settings } from "./dom.js";
import { isoDay } from "./format.js";

const FILTERS = ["account", "model", "client", "proxy"];
const DAYS = ["from", "to"];

const radios = (name) => document.querySelectorAll(`input[name=${name}]`);

export function connectControls(choose) {
  for (const radio of radios("range")) {
    radio.addEventListener("change", () => (radio.value === "days" ? openDays(choose) : choose({ range: radio.value, from: "", to: "" })));
  }
  for (const id of DAYS) find(id).addEventListener("change", () => chooseDays(choose));
  for (const id of FILTERS) find(id).addEventListener("change", () => choose({ [id]: find(id).value, before: "" }));
  find("clear").addEventListener("click", () => choose({ account: "", model: "", client: "", proxy: "", failed: "", request_id: "", before: "" }));
  for (const radio of radios("by")) radio.addEventListener("change", () => choose({ by: radio.value }));
  find("failed").addEventListener("change", () => choose({ failed: find("failed").checked ? "1" : "", before: "" }));
  find("find").addEventListener("submit", (event) => event.preventDefault());
  find("request_id").addEventListener("change", () => choose({ request_id: find("request_id").value.trim(), before: "" }));
  find("controls").addEventListener("submit", (event) => event.preventDefault());
  find("mask").addEventListener("click", () => choose({ mask: find("mask").getAttribute("aria-pressed") === "true" ? "" : "1", account: "", client: "" }));
}

function openDays(choose) {
  for (const id of DAYS) find(id).value ||= isoDay(Date.now());
  chooseDays(choose);
}

function chooseDays(choose) {
  const [from, to] = DAYS.map((id) => find(id).value);
  if (from) choose({ range: "", from, to: to || from });
}

// Set the controls to the state of the address.
export function setControls(state) {
  const range = state.from ? "days" : state.range || settings.default_range;
  for (const radio of radios("range")) radio.checked = radio.value === range;
  find("days").hidden = range !== "days";
  for (const id of DAYS) find(id).value = state[id] ?? "";
  for (const radio of radios("by")) radio.checked = radio.value === (state.by === "account" ? "account" : "model");
  find("failed").checked = state.failed === "1";
  if (document.activeElement !== find("request_id")) find("request_id").value = state.request_id ?? "";
  find("mask").setAttribute("aria-pressed", String(state.mask === "1"));
  find("clear").hidden = ![...FILTERS, "failed", "request_id"].some((name) => state[name]);
  for (const id of FILTERS) select(id, state[id] ?? "");
}

function select(id, value) {
  const element = find(id);
  if (value && ![...element.options].some((one) => one.value === value)) element.append(option(value));
  element.value = value;
  element.classList.toggle("set", Boolean(value));
  // A single proxy leaves nothing to choose.
  if (id === "proxy") element.closest("label").hidden = element.options.length < 3 && !value;
}

const option = (value) => make("option", { value }, value.length > 60 ? `${value.slice(0, 59)}…` : value);

export function showFilterOptions(page) {
  for (const id of FILTERS) {
    const names = (page.rows.filter_options ?? []).filter((row) => row.kind === id).map((row) => row.name);
    const element = find(id);
    // Replacing the options would close an open list.
    if (document.activeElement === element || !isNew(element, names)) continue;
    const { value } = element;
    element.replaceChildren(element.options[0], ...names.map(option));
    select(id, value);
  }
}
