// The page: asks for its data, shows it, and asks again.

import { accountsNow, refreshState } from "./accounts.js";
import * as address from "./address.js";
import { alerts } from "./alerts.js";
import { cards } from "./cards.js";
import { charts, setMeasure } from "./charts.js";
import { connect, names, reflect } from "./controls.js";
import { find, say } from "./dom.js";
import { clock, fill, setZone, texts } from "./format.js";
import { show } from "./links.js";
import { requests } from "./requests.js";
import { tables } from "./tables.js";
import { empty, trust } from "./trust.js";

const EVERY = "refresh-seconds";
const PATIENCE = 15e3;
let last = null;
let timer = null;
let asked = 0;
let waiting = null;
const opened = new Set();

const seconds = () => Number(find("every").value);

// Rows come as arrays with their columns named once.
function read(body, state) {
  const rows = {};
  for (const [name, section] of Object.entries(body.sections)) {
    rows[name] = section && section.rows.map((row) => Object.fromEntries(section.columns.map((column, at) => [column, row[at]])));
  }
  const several = (rows.names ?? []).filter((row) => row.kind === "proxy").length > 1;
  return { sections: body.sections, rows, state, several, opened: new Set(opened), now: rows.facts[0].now };
}

async function load() {
  clearTimeout(timer);
  const state = address.read();
  const turn = ++asked;
  try {
    // The first data is on its way since the page's first line.
    const place = turn === 1 ? find("first-data").href : address.data(state, opened);
    const answer = await fetch(place, { signal: AbortSignal.timeout(PATIENCE) });
    if (turn !== asked) return;
    if (answer.status === 503) return mark(texts.slow);
    if (!answer.ok) throw new Error(String(answer.status));
    const page = read(await answer.json(), state);
    if (turn !== asked) return;
    last = page;
    mark(null);
    draw(page);
  } catch (error) {
    if (turn !== asked) return;
    if (!(error instanceof TypeError || error instanceof DOMException || /^\d+$/.test(error.message))) throw error;
    mark(texts.stale);
  } finally {
    if (turn === asked) again();
  }
}

function again() {
  clearTimeout(timer);
  const pause = waiting ? 1 : seconds();
  if (pause && !document.hidden) timer = setTimeout(load, pause * 1e3);
}

function mark(trouble) {
  const box = find("stale");
  const text = trouble && fill(trouble, { time: last ? clock(last.now) : "–" });
  box.hidden = !trouble;
  if (trouble) say(box, text);
  document.body.classList.toggle("is-stale", Boolean(trouble));
}

function draw(page) {
  setZone(page.rows.facts[0].timezone);
  say(find("updated"), fill(texts.updated, { time: clock(page.now) }));
  for (const element of document.querySelectorAll("[data-links]")) show(element, page.sections[element.dataset.links]);
  trust(page);
  alerts(page);
  empty(page);
  names(page);
  cards(page);
  accountsNow(page, { toggle });
  tables(page, { choose, toggle });
  requests(page, choose);
  document.body.classList.add("is-ready");
  if (waiting && refreshState(page, waiting)) waiting = null;
  // Numbers first: the charts' script is large.
  requestAnimationFrame(() => charts(page));
}

function choose(changes) {
  reflect(address.change(changes));
  load();
}

// Show a whole list, or its first rows again.
function toggle(list) {
  if (!opened.delete(list)) opened.add(list);
  load();
}

async function askQuota() {
  find("ask").disabled = true;
  say(find("ask-state"), texts.asking);
  try {
    const answer = await fetch(address.path("-/refresh-quota"), { method: "POST", headers: { "x-requested-with": "cliproxy-ledger" } });
    if (!answer.ok) throw new Error(await answer.text());
    waiting = { id: (await answer.json()).id, since: Date.now() };
    load();
  } catch (error) {
    say(find("ask-state"), fill(texts.ask_failed, { reason: error.message.slice(0, 120) }));
  }
  find("ask").disabled = false;
}

function remember(cookie, value) {
  document.cookie = `${cookie}=${value}; path=/; max-age=31536000; samesite=lax`;
}

function start() {
  find("every").value = localStorage.getItem(EVERY) ?? "5";
  find("every").addEventListener("change", () => {
    localStorage.setItem(EVERY, find("every").value);
    load();
  });
  find("theme").value = document.documentElement.dataset.theme;
  find("theme").addEventListener("change", () => {
    document.documentElement.dataset.theme = find("theme").value;
    remember("theme", find("theme").value);
    if (last) charts(last);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => last && charts(last));
  find("language").addEventListener("click", (event) => {
    event.preventDefault();
    remember("lang", texts.other_lang.slice(0, 2));
    location.assign(address.path(address.text(address.read())));
  });
  for (const radio of document.querySelectorAll("input[name=measure]")) {
    radio.addEventListener("change", () => {
      setMeasure(radio.value);
      if (last) charts(last);
    });
  }
  find("refresh").addEventListener("click", load);
  find("ask").addEventListener("click", askQuota);
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : load()));
  addEventListener("popstate", () => {
    reflect(address.read());
    load();
  });
  connect(choose);
  reflect(address.read());
  load();
}

start();
