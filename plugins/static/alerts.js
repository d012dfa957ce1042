// The open alerts of custom rules, all that ended lately, and the use of each budget. Open alerts of
// the other rules are among the problems.

import { showLinks } from "./address.js";
import { bdi, find, make, update } from "./dom.js";
import { atLeast, compact, exact, fill, missing, moment, money, percent, texts } from "./format.js";

const DAY = 86400e3;
const SHOWN = 6;
const SEVERITIES = ["severe", "warning", "notice"];

// Hidden while there are no alerts and no budgets.
export function showAlerts(page) {
  const open = (page.rows.alerts ?? []).filter((row) => row.own).sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));
  const over = (page.rows.alerts_over ?? []).filter((row) => page.now - row.ended_at < DAY);
  const budgets = page.rows.budgets ?? [];
  find("alerts").hidden = !open.length && !over.length && !budgets.length;
  const more = open.length > SHOWN ? [{ id: "more", more: fill(texts.more_alerts, { n: open.length - SHOWN }) }] : [];
  update(find("alert-list"), [...open.slice(0, SHOWN), ...more, ...over].map((row) => alertItem(row, page.now)), (item) => item.id, drawAlert);
  update(find("budget-list"), budgets.map((row) => budgetItem(row, page.now)), (item) => item.name, drawBudget);
  showLinks(find("alerts-links"), page.sections.alerts && { ...page.sections.alerts, parameters: {} });
  showLinks(find("budgets-links"), budgets.length ? page.sections.budgets : null);
}

function alertItem(row, now) {
  if (row.more) return row;
  const isOver = row.state === "over";
  const at = isOver ? row.ended_at : row.began_at;
  const when = fill(isOver ? texts.alert_over : texts.alert_since, { time: moment(at, now) });
  return { id: row.id, severity: row.severity, label: texts.severities[row.severity], sentence: row.sentence, isOver, when, at };
}

function drawAlert(item) {
  if (item.more) return make("li", { class: "rest" }, item.more);
  return make("li", { class: item.isOver ? "over" : item.severity },
    make("span", { class: "badge" }, item.label),
    make("span", { class: "what" }, bdi(item.sentence)),
    make("time", { title: exact(item.at) }, item.when));
}

function budgetItem(row, now) {
  const isTokens = row.unit === "tokens";
  const spent = isTokens ? compact(row.spent) : atLeast(row.spent, row.unpriced);
  const foot = fill(texts.budget_of, { spent, amount: (isTokens ? compact : money)(row.amount), per: texts.per[row.per], time: moment(row.ends_at, now) });
  const isKnown = row.state !== "unknown name";
  return {
    name: row.budget, share: Math.min(row.percent, 100), isKnown,
    level: !isKnown ? "none" : row.state === "spent" ? "low" : row.state === "near" ? "warn" : "good",
    percent: isKnown ? percent(row.percent / 100) : texts.budget_unknown,
    foot: [foot, isTokens ? "" : missing(row.unpriced)].filter(Boolean).join(" · "),
  };
}

function drawBudget(item) {
  return make("div", { class: "limit" },
    make("p", { class: "limit-head" }, make("span", {}, bdi(item.name)), make("b", { class: item.level }, item.percent)),
    make("div", { class: `bar ${item.level}` }, item.isKnown ? make("i", { style: { width: `${item.share}%` } }) : null),
    make("p", { class: item.level === "low" ? "limit-foot late" : "limit-foot" }, item.foot));
}
