// What the page shows is in its address, so that a view can be kept and sent.

const NAMES = ["range", "from", "to", "account", "model", "client", "proxy", "by", "failed", "request_id", "before", "mask"];
const base = document.body.dataset.base;

export function read() {
  const given = new URLSearchParams(location.search);
  return Object.fromEntries(NAMES.filter((name) => given.get(name)).map((name) => [name, given.get(name)]));
}

export function text(state) {
  const given = new URLSearchParams(NAMES.filter((name) => state[name]).map((name) => [name, state[name]]));
  return given.size ? `?${given}` : "";
}

export function change(changes, { replace = false } = {}) {
  const state = { ...read(), ...changes };
  const address = base + text(state) + location.hash;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  return read();
}

export function data(state, opened) {
  const given = new URLSearchParams(text(state));
  if (opened.size) given.set("open", [...opened].sort().join(","));
  return `${base}-/page.json${given.size ? `?${given}` : ""}`;
}
export const path = (rest) => base + rest;
