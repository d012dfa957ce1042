// The accounts now: whether each can be used, what its limits have left, when it returns.

import { showLinks } from "./address.js";
import { bdi, find, isNew, make, setText, settings, update } from "./dom.js";
import { duration, exact, fill, limitLabel, moment, outcome, percent, texts } from "./format.js";
import { showMoreButton } from "./tables.js";

const WAIT_FOR_ANSWER_MS = 60e3;

// One item for each account, in the order of the query: usable first, then by return.
function items(page) {
  const { usable, quota, forecast } = page.rows;
  const forecasts = new Map((forecast ?? []).map((row) => [row.window_id, row]));
  const shares = usableShares(page.rows.usable_share ?? []);
  const accounts = new Map();
  for (const row of usable ?? []) {
    if (!accounts.has(row.account_id)) {
      const windows = (quota ?? []).filter((limit) => limit.account_id === row.account_id);
      const limits = windows.map((limit) => limitItem(limit, forecasts.get(limit.window_id), page.now));
      accounts.set(row.account_id, { ...accountItem(row, page.now), share: shareText(shares.get(row.account_id)), proxy: page.several ? row.proxy : "", limits, groups: [] });
    }
    if (row.models) accounts.get(row.account_id).groups.push(`${row.models}: ${texts[row.usable]}`);
  }
  return [...accounts.values()];
}

// The best of an account's groups; without any verdict in the time there is no share.
function usableShares(rows) {
  const shares = new Map();
  for (const row of rows) {
    if (row.unknown_percent < 100) shares.set(row.account_id, Math.max(row.usable_percent, shares.get(row.account_id) ?? 0));
  }
  return shares;
}

const shareText = (share) => (share === undefined ? null : fill(texts.usable_share, { percent: percent(share / 100) }));

function accountItem(row, now) {
  const returnsAt = row.usable === "no" ? row.next_usable_at : null;
  return {
    id: row.account_id, account: row.account, provider: row.provider,
    plan: row.plan === "unknown" ? "" : row.plan,
    usable: row.usable, left: row.effective_left,
    reason: texts.reasons[row.reason] ?? (row.reason ?? "").replaceAll("_", " "),
    returnsAt, returns: returnsAt ? fill(texts.returns, { time: moment(returnsAt, now) }) : null,
    age: row.age_seconds === null ? texts.never_seen : row.age_seconds < 5 ? texts.now : fill(texts.age, { time: duration(coarse(row.age_seconds)) }),
    hasSource: row.reason !== "no_source",
  };
}

// Seconds are shown in steps of five, and minutes without seconds: the page changes less often.
const coarse = (seconds) => (seconds < 60 ? Math.floor(seconds / 5) * 5 : Math.floor(seconds / 60) * 60);

function limitItem(row, forecast, now) {
  return {
    id: row.window_id, label: row.limit_name, left: row.left_percent, state: row.state,
    isGating: row.gating !== 0,
    level: row.left_percent === null ? "none" : row.left_percent <= 10 ? "low" : row.left_percent <= 30 ? "warn" : "good",
    resets: resetText(row, now), resetsAt: row.resets_at, forecast: forecastText(forecast, now),
    isLate: forecast?.outcome === "runs_out",
  };
}

function resetText(row, now) {
  if (row.state.startsWith("rolled over")) return texts.reset_done;
  if (row.state === "not started") return texts.not_started;
  if (!row.resets_at) return texts.resets_unknown;
  return fill(texts.resets, { time: duration(coarse((row.resets_at - now) / 1000)) });
}

function forecastText(forecast, now) {
  if (!forecast) return "";
  if (forecast.outcome === "runs_out") return fill(texts.runs_out, { time: moment(forecast.runs_out_at, now) });
  if (forecast.outcome === "lasts") return fill(texts.lasts, { percent: percent(forecast.left_over_percent / 100) });
  if (forecast.outcome === "exhausted") return texts.used_up;
  return texts.forecast_reasons[forecast.reason] ?? "";
}

export function showAccountsNow(page, { toggle }) {
  const accounts = items(page);
  showBest(accounts, page.now);
  update(find("now"), accounts, (account) => account.id, drawAccount);
  const count = page.sections.usable?.count ?? 0;
  showMoreButton(find("now-more"), { count, shown: settings.accounts_shown, isOpen: page.opened.has("usable"), onClick: () => toggle("usable") });
  showLinks(find("now-links"), page.sections.usable);
}

function showBest(accounts, now) {
  const box = find("best");
  const content = bestContent(accounts, now);
  if (!isNew(box, content)) return;
  box.className = `best ${content.look}`;
  box.replaceChildren(...content.parts.map((part, index) => make(index === 1 ? "strong" : "span", {}, bdi(part))));
}

function bestContent(accounts, now) {
  const best = accounts.find((account) => account.hasSource);
  const next = accounts.filter((account) => account.returnsAt).sort((a, b) => a.returnsAt - b.returnsAt)[0];
  if (best?.usable === "yes") {
    const left = best.left === null ? "" : fill(texts.best_left, { percent: percent(best.left / 100) });
    return { look: "good", parts: [texts.best, best.account, [best.provider, left].filter(Boolean).join(" · ")] };
  }
  if (next) return { look: "waits", parts: [texts.none_usable, fill(texts.next_back, { account: next.account, when: moment(next.returnsAt, now) })] };
  if (best) return { look: "waits", parts: [texts.none_usable] };
  return { look: "plain", parts: [texts.no_quota] };
}

function drawAccount(item) {
  const limits = item.limits.filter((limit) => limit.isGating || limit.left !== null);
  return make("article", { class: `account-now ${item.usable}`, "data-account": item.account },
    make("div", { class: "who" },
      make("h3", {}, bdi(item.account)),
      make("p", {}, bdi([item.provider, item.plan, item.proxy].filter(Boolean).join(" · ")))),
    make("div", { class: "verdict" },
      make("p", {}, make("span", { class: `badge ${item.usable}` }, texts[item.usable])),
      make("p", { class: "why" }, [item.returns, item.reason].filter(Boolean).join(" · ")),
      item.groups.length > 1 ? make("p", { class: "why" }, item.groups.join(" · ")) : null),
    make("div", { class: "limits" }, ...limits.map(drawLimit)),
    make("p", { class: "age" }, item.hasSource ? [item.age, item.share].filter(Boolean).join(" · ") : ""));
}

function drawLimit(item) {
  const left = item.left === null ? texts.left_unknown : fill(texts.left, { percent: percent(item.left / 100) });
  const meter = item.left === null
    ? make("div", { class: "bar none" })
    : make("div", { class: `bar ${item.level}` }, make("i", { style: { width: `${item.left}%` } }));
  return make("div", { class: "limit", title: item.resetsAt ? exact(item.resetsAt) : null },
    make("p", { class: "limit-head" }, make("span", {}, bdi(limitLabel(item.label))), make("b", { class: item.level }, left)),
    meter,
    make("p", { class: item.isLate ? "limit-foot late" : "limit-foot" }, [item.resets, item.forecast].filter(Boolean).join(" · ")));
}

// Show how far the requested refresh of quotas is; return whether it is answered.
export function showRefreshState(page, refresh) {
  const row = (page.rows.refreshes ?? []).find((one) => one.id === refresh.id);
  const state = find("refresh-state");
  if (row?.answered_at) {
    setText(state, fill(texts.refreshed, { outcome: outcome(row.outcome) }));
    return true;
  }
  setText(state, Date.now() - refresh.requestedAt > WAIT_FOR_ANSWER_MS ? texts.refresh_late : texts.refreshing);
  return false;
}
