// Whether the numbers can be trusted: one line while all is well, else one notice for each problem.

import { links } from "./address.js";
import { bdi, find, isNew, make } from "./dom.js";
import { duration, fill, texts, translated, whole } from "./format.js";

let isOpen = false;

// Group the digits of long numbers, but not of dates and times.
const grouped = (sentence) => sentence.replace(/(?<![\d-:.])\d{4,}(?![-\d:])/g, (digits) => whole(Number(digits)));

export function showTrust(page) {
  const rows = (page.rows.state ?? []).map((row) => ({ ...row, subject: translated(row.subject), sentence: grouped(translated(row.sentence)) }));
  const problems = rows.filter((row) => row.state === "trouble");
  const age = lastEventText(page);
  const errors = (page.rows.quota_errors ?? []).map((row) => ({ subject: row.account, sentence: texts.reasons[row.state] ?? row.advice, state: "note" }));
  const box = find("trust");
  if (!isNew(box, [rows, errors, problems.length ? "" : age])) return;
  const accounting = rows.find((row) => /received|收到/.test(row.sentence));
  const summary = problems.length ? fill(texts.problem_count, { n: problems.length }) : texts.all_good;
  const line = [summary, age, problems.includes(accounting) ? "" : accounting?.sentence].filter(Boolean).join(" · ");
  const hasFocus = box.contains(document.activeElement);
  box.replaceChildren(
    ...problems.map((row) => make("p", { class: "notice bad" }, make("b", {}, row.subject), ` ${row.sentence}`)),
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
  const row = (prefix) => rows.find((one) => one.subject.startsWith(prefix));
  const refused = row("key for");
  const worker = row("worker ingest");
  const proxy = row("proxy");
  if (document.body.dataset.hasKey === "no") return texts.empty.key;
  if (refused) return fill(texts.empty.refused, { detail: translated(refused.sentence) });
  if (proxy?.state === "trouble") return texts.empty.statistics;
  if (!worker || worker.state === "off" || worker.sentence.startsWith("no sign")) return texts.empty.collector;
  if (worker.state === "trouble") return fill(texts.empty.proxy, { detail: worker.sentence.replace(/^waiting: /, "") });
  return texts.empty.traffic;
}
