// The accounts now: which can be used, what each limit has left, when it returns.

import { find, keep, make, name, say } from "./dom.js";
import { exact, fill, limitLabel, moment, outcome, percent, stretch, texts } from "./format.js";
import { show } from "./links.js";
import { more } from "./tables.js";

const SHOWN = 8;

// One item an account, in the order of the query: usable first, then by return.
function items(page) {
  const { usable, quota, forecast } = page.rows;
  const forecasts = new Map((forecast ?? []).map((row) => [row.window_id, row]));
  const windows = Map.groupBy ? Map.groupBy(quota ?? [], (row) => row.account_id) : grouped(quota ?? []);
  const accounts = new Map();
  for (const row of usable ?? []) {
    if (!accounts.has(row.account_id)) {
      const limits = (windows.get(row.account_id) ?? []).map((limit) => windowItem(limit, forecasts.get(limit.window_id), page.now));
      accounts.set(row.account_id, { ...verdict(row, page.now), proxy: page.several ? row.proxy : "", limits, groups: [] });
    }
    if (row.models) accounts.get(row.account_id).groups.push(`${row.models}: ${texts[row.usable]}`);
  }
  return [...accounts.values()];
}

function grouped(rows) {
  const found = new Map();
  for (const row of rows) found.set(row.account_id, [...(found.get(row.account_id) ?? []), row]);
  return found;
}

function verdict(row, now) {
  const reason = texts.reasons[row.reason] ?? (row.reason ?? "").replaceAll("_", " ");
  const back = row.usable === "no" && row.next_usable_at ? fill(texts.returns, { time: moment(row.next_usable_at, now) }) : null;
  return {
    id: row.account_id, account: row.account, provider: row.provider,
    plan: row.plan === "unknown" ? "" : row.plan,
    usable: row.usable, reason, back,
    backAt: row.usable === "no" ? row.next_usable_at : null,
    left: row.effective_left,
    age: row.age_seconds === null ? texts.never_seen : row.age_seconds < 5 ? texts.now : fill(texts.age, { time: stretch(coarse(row.age_seconds)) }),
    isKnown: row.reason !== "no_source",
  };
}

// Seconds matter for a minute, minutes for an hour: what changes less often is calmer.
const coarse = (seconds) => (seconds < 60 ? Math.floor(seconds / 5) * 5 : Math.floor(seconds / 60) * 60);

function windowItem(row, forecast, now) {
  return {
    id: row.window_id, label: row.limit_name, left: row.left_percent, state: row.state,
    isGating: row.gating !== 0,
    level: row.left_percent === null ? "none" : row.left_percent <= 10 ? "low" : row.left_percent <= 30 ? "half" : "good",
    resets: resets(row, now), resetsAt: row.resets_at, forecast: foreseen(forecast, now),
    isLate: forecast?.outcome === "runs_out",
  };
}

function resets(row, now) {
  if (row.state.startsWith("rolled over")) return texts.reset_done;
  if (row.state === "not started") return texts.not_started;
  if (!row.resets_at) return texts.resets_unknown;
  return fill(texts.resets, { time: stretch(coarse((row.resets_at - now) / 1000)) });
}

function foreseen(forecast, now) {
  if (!forecast) return "";
  if (forecast.outcome === "runs_out") return fill(texts.runs_out, { time: moment(forecast.runs_out_at, now) });
  if (forecast.outcome === "lasts") return fill(texts.lasts, { percent: percent(forecast.left_over_percent / 100) });
  if (forecast.outcome === "exhausted") return texts.used_up;
  return texts.forecast_reasons[forecast.reason] ?? "";
}

export function accountsNow(page, { toggle }) {
  const all = items(page);
  best(all, page.now);
  keep(find("now"), all, (item) => item.id, draw);
  more(find("now-more"), { count: page.sections.usable?.count ?? 0, isOpen: page.opened.has("usable"), act: () => toggle("usable") }, SHOWN);
  show(find("now-links"), page.sections.usable);
}

function best(all, now) {
  const box = find("best");
  const first = all.find((item) => item.isKnown);
  const back = all.filter((item) => item.backAt).sort((a, b) => a.backAt - b.backAt)[0];
  let said = ["plain", [texts.no_quota]];
  if (first?.usable === "yes") {
    const left = first.left === null ? "" : fill(texts.best_left, { percent: percent(first.left / 100) });
    said = ["good", [texts.best, first.account, [first.provider, left].filter(Boolean).join(" · ")]];
  } else if (back) {
    said = ["waits", [texts.none_usable, fill(texts.next_back, { account: back.account, when: moment(back.backAt, now) })]];
  } else if (first) said = ["waits", [texts.none_usable]];
  if (box.dataset.said === JSON.stringify(said)) return;
  box.dataset.said = JSON.stringify(said);
  box.className = `best ${said[0]}`;
  box.replaceChildren(...said[1].map((part, at) => make(at === 1 ? "strong" : "span", {}, name(part))));
}

function draw(item) {
  const limits = item.limits.filter((limit) => limit.isGating || limit.left !== null);
  return make("article", { class: `account-now ${item.usable}`, "data-account": item.account },
    make("div", { class: "who" },
      make("h3", {}, name(item.account)),
      make("p", {}, name([item.provider, item.plan, item.proxy].filter(Boolean).join(" · ")))),
    make("div", { class: "verdict" },
      make("p", {}, make("span", { class: `badge ${item.usable}` }, texts[item.usable])),
      make("p", { class: "why" }, [item.back, item.reason].filter(Boolean).join(" · ")),
      item.groups.length > 1 ? make("p", { class: "why" }, item.groups.join(" · ")) : null),
    make("div", { class: "limits" }, ...limits.map(limit)),
    make("p", { class: "age" }, item.isKnown ? item.age : ""));
}

function limit(item) {
  const left = item.left === null ? texts.left_unknown : fill(texts.left, { percent: percent(item.left / 100) });
  const meter = item.left === null
    ? make("div", { class: "bar none" })
    : make("div", { class: `bar ${item.level}` }, make("i", { style: { width: `${item.left}%` } }));
  return make("div", { class: "limit", title: item.resetsAt ? exact(item.resetsAt) : null },
    make("p", { class: "limit-head" }, make("span", {}, name(limitLabel(item.label))), make("b", { class: item.level }, left)),
    meter,
    make("p", { class: item.isLate ? "limit-foot late" : "limit-foot" }, [item.resets, item.forecast].filter(Boolean).join(" · ")));
}

export function refreshState(page, waiting) {
  const found = (page.rows.refreshes ?? []).find((row) => row.id === waiting.id);
  const state = find("ask-state");
  if (found?.answered_at) {
    say(state, fill(texts.asked, { outcome: outcome(found.outcome) }));
    return true;
  }
  say(state, Date.now() - waiting.since > 60e3 ? texts.asked_long : texts.asking);
  return false;
}
