// The page: it loads its data, shows it, and loads it again.

import { showAccountsNow, showRefreshState } from "./accounts.js";
import * as address from "./address.js";
import { showAlerts } from "./alerts.js";
import { showCards } from "./cards.js";
import { setMeasure, showCharts } from "./charts.js";
import { connectControls, setControls, showFilterOptions } from "./controls.js";
import { find, setText } from "./dom.js";
import { clock, fill, setCurrency, setZone, texts } from "./format.js";
import { showRequests } from "./requests.js";
import { showTables } from "./tables.js";
import { showEmpty, showTrust } from "./trust.js";

const INTERVAL_KEY = "refresh-seconds";
const TIMEOUT_MS = 15e3;
const YEAR_SECONDS = 31536000;
let lastPage = null;
let timer = null;
let loads = 0;
// The requested refresh of quotas that is not answered yet.
let refresh = null;
const opened = new Set();

// Name the columns of each row.
function parse(body, state) {
  const rows = {};
  for (const [name, section] of Object.entries(body.sections)) {
    rows[name] = section && section.rows.map((row) => Object.fromEntries(section.columns.map((column, index) => [column, row[index]])));
  }
  const several = (rows.filter_options ?? []).filter((row) => row.kind === "proxy").length > 1;
  return { sections: body.sections, costs: body.costs, rows, state, several, opened: new Set(opened), now: rows.ledger_info[0].now };
}

async function load() {
  clearTimeout(timer);
  const state = address.read();
  const number = ++loads;
  try {
    // The page's head has requested the first data already.
    const url = number === 1 ? find("first-data").href : address.dataAddress(state, opened);
    const answer = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (number !== loads) return;
    if (answer.status === 503) return showStale(texts.slow);
    if (!answer.ok) throw new Error(String(answer.status));
    const page = parse(await answer.json(), state);
    if (number !== loads) return;
    lastPage = page;
    showStale(null);
    show(page);
  } catch (error) {
    if (number !== loads) return;
    if (!(error instanceof TypeError || error instanceof DOMException || /^\d+$/.test(error.message))) throw error;
    showStale(texts.stale);
  } finally {
    if (number === loads) schedule();
  }
}

function schedule() {
  clearTimeout(timer);
  const seconds = refresh ? 1 : Number(find("every").value);
  if (seconds && !document.hidden) timer = setTimeout(load, seconds * 1e3);
}

function showStale(reason) {
  const box = find("stale");
  box.hidden = !reason;
  if (reason) setText(box, fill(reason, { time: lastPage ? clock(lastPage.now) : "–" }));
  document.body.classList.toggle("is-stale", Boolean(reason));
}

function show(page) {
  setZone(page.rows.ledger_info[0].timezone);
  setCurrency(page.costs);
  showPriceList(page.costs);
  setText(find("updated"), fill(texts.updated, { time: clock(page.now) }));
  for (const element of document.querySelectorAll("[data-links]")) address.showLinks(element, page.sections[element.dataset.links]);
  showTrust(page);
  showAlerts(page);
  showEmpty(page);
  showFilterOptions(page);
  showCards(page);
  showAccountsNow(page, { toggle });
  showTables(page, { choose, toggle });
  showRequests(page, choose);
  document.body.classList.add("is-ready");
  if (refresh && showRefreshState(page, refresh)) refresh = null;
  // The charts' script is large: numbers come first.
  requestAnimationFrame(() => showCharts(page));
}

function showPriceList(costs) {
  const rate = costs.currency === "USD" ? "" : fill(texts.currency_rate, { rate: costs.currency_rate, currency: costs.currency });
  setText(find("price-list"), [fill(texts.price_list, { name: costs.price_list }), rate].filter(Boolean).join(" "));
}

function choose(changes) {
  setControls(address.change(changes));
  load();
}

// Show a whole list, or its first rows again.
function toggle(list) {
  if (!opened.delete(list)) opened.add(list);
  load();
}

async function refreshQuota() {
  find("refresh-quota").disabled = true;
  setText(find("refresh-state"), texts.refreshing);
  try {
    const answer = await fetch(address.path("-/refresh-quota"), { method: "POST", headers: { "x-requested-with": "cliproxy-ledger" } });
    if (!answer.ok) throw new Error(await answer.text());
    refresh = { id: (await answer.json()).id, requestedAt: Date.now() };
    load();
  } catch (error) {
    setText(find("refresh-state"), fill(texts.refresh_failed, { reason: error.message.slice(0, 120) }));
  }
  find("refresh-quota").disabled = false;
}

function setCookie(name, value) {
  document.cookie = `${name}=${value}; path=/; max-age=${YEAR_SECONDS}; samesite=lax`;
}

function redrawCharts() {
  if (lastPage) showCharts(lastPage);
}

function start() {
  find("every").value = localStorage.getItem(INTERVAL_KEY) ?? "5";
  find("every").addEventListener("change", () => {
    localStorage.setItem(INTERVAL_KEY, find("every").value);
    load();
  });
  find("theme").value = document.documentElement.dataset.theme;
  find("theme").addEventListener("change", () => {
    document.documentElement.dataset.theme = find("theme").value;
    setCookie("theme", find("theme").value);
    redrawCharts();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawCharts);
  find("language").addEventListener("click", (event) => {
    event.preventDefault();
    setCookie("lang", texts.other_lang.slice(0, 2));
    location.assign(address.path(address.query(address.read())));
  });
  for (const radio of document.querySelectorAll("input[name=measure]")) {
    radio.addEventListener("change", () => {
      setMeasure(radio.value);
      redrawCharts();
    });
  }
  find("refresh").addEventListener("click", load);
  find("refresh-quota").addEventListener("click", refreshQuota);
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : load()));
  addEventListener("popstate", () => {
    setControls(address.read());
    load();
  });
  connectControls(choose);
  setControls(address.read());
  load();
}

start();
