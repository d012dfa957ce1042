// Whether the numbers can be believed: quiet while all is well, else one sentence for each trouble.

import { find, make } from "./dom.js";
import { fill, stretch, texts, translated, whole } from "./format.js";
import { links } from "./links.js";

let isOpen = false;

const numbers = (sentence) => sentence.replace(/(?<![\d-:.])\d{4,}(?![-\d:])/g, (digits) => whole(Number(digits)));

export function trust(page) {
  const rows = (page.rows.state ?? []).map((row) => ({ ...row, subject: translated(row.subject), sentence: numbers(translated(row.sentence)) }));
  const troubles = rows.filter((row) => row.state === "trouble");
  const last = page.rows.facts[0]?.last_event_at;
  const seconds = last ? Math.max(0, page.now - last) / 1000 : null;
  const age = seconds === null ? texts.no_event : fill(texts.last_event, { time: stretch(seconds < 60 ? seconds : Math.floor(seconds / 60) * 60) });
  const errors = (page.rows.quota_errors ?? []).map((row) => ({ subject: row.account, sentence: texts.reasons[row.state] ?? row.advice, state: "note" }));
  const said = JSON.stringify([rows, errors, troubles.length ? "" : age]);
  const box = find("trust");
  if (box.dataset.said === said) return;
  box.dataset.said = said;
  const accounting = rows.find((row) => /received|收到/.test(row.sentence));
  const summary = troubles.length ? fill(texts.trouble_count, { n: troubles.length }) : texts.all_good;
  const quiet = [summary, age, troubles.includes(accounting) ? "" : accounting?.sentence].filter(Boolean).join(" · ");
  const focused = box.contains(document.activeElement);
  box.replaceChildren(
    ...troubles.map((row) => make("p", { class: "notice bad" }, make("b", {}, row.subject), ` ${row.sentence}`)),
    make("details", { open: isOpen, on: { toggle: (event) => { isOpen = event.target.open; } } },
      make("summary", {}, make("i", { class: troubles.length ? "dot bad" : "dot good" }), quiet),
      make("ul", {}, ...[...rows, ...errors].map((row) => make("li", { class: row.state }, make("b", {}, make("bdi", {}, row.subject)), ` ${row.sentence}`))),
      ...["state", "gaps", "quota_errors"].map((part) => linkRow(page.sections[part]))));
  if (focused) box.querySelector("summary").focus();
}

const linkRow = (section) => (section ? make("p", { class: "links" }, make("span", {}, section.query), ...links(section)) : null);

// Why there is nothing to see, and what to do about it.
export function empty(page) {
  const box = find("empty");
  const sums = page.rows.summary[0];
  box.hidden = Boolean(sums?.requests);
  if (box.hidden) return;
  const words = texts.empty;
  const hasEvents = Boolean(page.rows.facts[0]?.last_event_at);
  const text = hasEvents ? words.range : advice(page, words);
  if (box.dataset.said === text) return;
  box.dataset.said = text;
  box.replaceChildren(make("h2", {}, words.title), make("p", {}, text));
}

function advice(page, words) {
  const rows = page.rows.state ?? [];
  const about = (start) => rows.find((row) => row.subject.startsWith(start));
  const refused = about("key for");
  const worker = about("worker ingest");
  const proxy = about("proxy");
  if (document.body.dataset.hasKey === "no") return words.key;
  if (refused) return fill(words.refused, { detail: translated(refused.sentence) });
  if (proxy?.state === "trouble") return words.statistics;
  if (!worker || worker.state === "off" || worker.sentence.startsWith("no sign")) return words.collector;
  if (worker.state === "trouble") return fill(words.proxy, { detail: worker.sentence.replace(/^waiting: /, "") });
  return words.traffic;
}
