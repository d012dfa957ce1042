// Whether the numbers can be trusted: one line while all is well, else one notice for each problem.

import { links } from "./address.js";
import { bdi, find, isNew, make } from "./dom.js";
import { duration, fill, texts } from "./format.js";

const SHOWN = 6;
let isOpen = false;

export function showTrust(page) {
  const rows = page.rows.state ?? [];
  const problems = rows.filter((row) => row.state === "severe" || row.state === "warning");
  const age = lastEventText(page);
  const errors = (page.rows.quota_errors ?? []).map((row) => ({ subject: row.account, sentence: texts.reasons[row.state] ?? row.advice, state: "note" }));
  const box = find("trust");
  if (!isNew(box, [rows, errors, problems.length ? "" : age])) return;
  const accounting = rows.find((row) => row.code === "accounting");
  const summary = problems.length ? fill(texts.problem_count, { n: problems.length }) : texts.all_good;
  const line = [summary, age, accounting?.sentence].filter(Boolean).join(" · ");
  const more = problems.length > SHOWN ? [make("p", { class: "notice bad" }, fill(texts.more_alerts, { n: problems.length - SHOWN }))] : [];
  const hasFocus = box.contains(document.activeElement);
  box.replaceChildren(
    ...problems.slice(0, SHOWN).map((row) => make("p", { class: `notice bad ${row.state}`, "data-code": row.code }, bdi(row.sentence, { title: null }))),
    ...more,
    make("details", { open: isOpen, on: { toggle: (event) => { isOpen = event.target.open; } } },
      make("summary", {}, make("i", { class: problems.length ? "dot bad" : "dot good" }), line),
      make("ul", {}, ...[...rows, ...errors].map((row) => make("li", { class: row.state }, make("b", {}, bdi(row.subject, { title: null })), ` ${row.sentence}`))),
      ...["state", "gaps", "quota_errors"].map((part) => linkRow(page.sections[part]))));
  if (hasFocus) box.querySelector("summary").focus();
}

function lastEventText(page) {
  const at = page.rows.ledger_info[0]?.last_event_at;
  if (!at) return texts.no_event;
  const seconds = Math.max(0, page.now - at) / 1000;
  return fill(texts.last_event, { time: duration(seconds < 60 ? seconds : Math.floor(seconds / 60) * 60) });
}

const linkRow = (section) => (section ? make("p", { class: "links" }, make("span", {}, section.query), ...links(section)) : null);

// Why the page is empty, and what to do about it.
export function showEmpty(page) {
  const box = find("empty");
  box.hidden = Boolean(page.rows.summary[0]?.requests);
  if (box.hidden) return;
  const text = page.rows.ledger_info[0]?.last_event_at ? texts.empty.range : advice(page);
  if (isNew(box, text)) box.replaceChildren(make("h2", {}, texts.empty.title), make("p", {}, text));
}

function advice(page) {
  const rows = page.rows.state ?? [];
  const problem = (...codes) => rows.find((row) => codes.includes(row.code));
  const refused = problem("key_refused");
  const waiting = problem("collection_waiting", "collection_blocked", "collector_waiting");
  if (document.body.dataset.hasKey === "no") return texts.empty.key;
  if (refused) return refused.sentence;
  if (problem("statistics_off")) return texts.empty.statistics;
  if (problem("collector_never_started", "collector_stopped", "collector_silent")) return texts.empty.collector;
  if (waiting) return fill(texts.empty.proxy, { detail: JSON.parse(waiting.parameters).detail });
  return texts.empty.traffic;
}
