// What is worth a message now, what was over lately, and how much of each budget is used.

import { find, keep, make, name } from "./dom.js";
import { compact, dollars, exact, fill, moment, percent, texts } from "./format.js";
import { show } from "./links.js";

const DAY = 86400e3;
const SHOWN = 6;
const WORST = ["severe", "warning", "notice"];

// Nothing to see where all is well.
export function alerts(page) {
  const open = [...(page.rows.alerts ?? [])].sort((a, b) => WORST.indexOf(a.severity) - WORST.indexOf(b.severity));
  const over = (page.rows.alerts_over ?? []).filter((row) => page.now - row.ended_at < DAY);
  const budgets = page.rows.budgets ?? [];
  find("alerts").hidden = !open.length && !over.length && !budgets.length;
  const more = open.length > SHOWN ? [{ id: "more", more: fill(texts.more_alerts, { n: open.length - SHOWN }) }] : [];
  keep(find("alert-list"), [...open.slice(0, SHOWN), ...more, ...over].map((row) => item(row, page.now)), (row) => row.id, draw);
  keep(find("budget-list"), budgets.map((row) => budget(row, page.now)), (row) => row.name, drawBudget);
  show(find("alerts-links"), page.sections.alerts && { ...page.sections.alerts, parameters: {} });
  show(find("budgets-links"), budgets.length ? page.sections.budgets : null);
}

function item(row, now) {
  if (row.more) return row;
  const isOver = row.state === "over";
  const at = isOver ? row.ended_at : row.began_at;
  const when = fill(isOver ? texts.alert_over : texts.alert_since, { time: moment(at, now) });
  return { id: row.id, severity: row.severity, word: texts.severities[row.severity], sentence: row.sentence, isOver, when, at };
}

function draw(row) {
  if (row.more) return make("li", { class: "rest" }, row.more);
  return make("li", { class: row.isOver ? "over" : row.severity },
    make("span", { class: "badge" }, row.word),
    make("span", { class: "what" }, name(row.sentence)),
    make("time", { title: exact(row.at) }, row.when));
}

function budget(row, now) {
  const written = row.unit === "tokens" ? compact : dollars;
  const isKnown = row.state !== "unknown name";
  return {
    name: row.budget, share: Math.min(row.percent, 100), isKnown,
    level: !isKnown ? "none" : row.state === "spent" ? "low" : row.state === "near" ? "half" : "good",
    percent: isKnown ? percent(row.percent / 100) : texts.budget_unknown,
    foot: fill(texts.budget_of, { spent: written(row.spent), amount: written(row.amount), per: texts.per[row.per], time: moment(row.ends_at, now) }),
  };
}

function drawBudget(row) {
  return make("div", { class: "limit" },
    make("p", { class: "limit-head" }, make("span", {}, name(row.name)), make("b", { class: row.level }, row.percent)),
    make("div", { class: `bar ${row.level}` }, row.isKnown ? make("i", { style: { width: `${row.share}%` } }) : null),
    make("p", { class: row.level === "low" ? "limit-foot late" : "limit-foot" }, row.foot));
}
