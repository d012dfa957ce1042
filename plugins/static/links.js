// The way from a number to the query behind it.

import { path } from "./address.js";
import { make } from "./dom.js";

export function address(section, form = "", more = {}) {
  const given = new URLSearchParams({ ...section.parameters, ...more });
  return path(`ledger/${section.query}${form}${given.size ? `?${given}` : ""}`);
}

// Where an account is named by its mask there is no address that would find it.
export function links(section) {
  if (!section?.parameters) return [];
  const title = section.query;
  return [
    ["HTML", address(section)],
    ["JSON", address(section, ".json", { _shape: "array" })],
    ["CSV", address(section, ".csv")],
    ["SQL", address(section, "", { _show_sql: "1" })],
  ].map(([word, href]) => make("a", { href, "aria-label": `${title}: ${word}`, "data-focus": word }, word));
}

export function show(element, section) {
  const said = section ? JSON.stringify([section.query, section.parameters]) : "";
  if (!element || element.dataset.said === said) return;
  element.dataset.said = said;
  element.replaceChildren(...links(section));
}
