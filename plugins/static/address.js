// The page's state is its address, which can be bookmarked; each section links to its query.

import { isNew, make, settings } from "./dom.js";

const base = document.body.dataset.base;

export const path = (rest) => base + rest;

export function read() {
  const given = new URLSearchParams(location.search);
  return Object.fromEntries(settings.parameters.filter((name) => given.get(name)).map((name) => [name, given.get(name)]));
}

export function query(state) {
  const given = new URLSearchParams(settings.parameters.filter((name) => state[name]).map((name) => [name, state[name]]));
  return given.size ? `?${given}` : "";
}

export function change(changes) {
  history.pushState(null, "", path(query({ ...read(), ...changes }) + location.hash));
  return read();
}

// The address of the data; `opened` lists are sent whole.
export function dataAddress(state, opened) {
  const given = new URLSearchParams(query(state));
  if (opened.size) given.set("open", [...opened].sort().join(","));
  return path(`-/page.json${given.size ? `?${given}` : ""}`);
}

export function queryAddress(section, form = "", more = {}) {
  const given = new URLSearchParams({ ...section.parameters, ...more });
  return path(`ledger/${section.query}${form}${given.size ? `?${given}` : ""}`);
}

// A masked section has no parameters: no query finds an account by its mask.
export function links(section) {
  if (!section?.parameters) return [];
  return [
    ["HTML", queryAddress(section)],
    ["JSON", queryAddress(section, ".json", { _shape: "array" })],
    ["CSV", queryAddress(section, ".csv")],
    ["SQL", queryAddress(section, "", { _show_sql: "1" })],
  ].map(([form, href]) => make("a", { href, "aria-label": `${section.query}: ${form}`, "data-focus": form }, form));
}

export function showLinks(element, section) {
  if (element && isNew(element, section && [section.query, section.parameters])) element.replaceChildren(...links(section));
}
