// The cards: what a span came to, and how that compares with the span before it.

import { find, keep, make } from "./dom.js";
import { change, compact, dollars, exactDollars, fill, milliseconds, percent, texts, whole } from "./format.js";
import { address, show } from "./links.js";

const share = (part, of) => (of ? percent(part / of) : percent(0));

const NOTES = {
  requests: (sums) => (sums.failed ? fill(texts.failed_of, { n: whole(sums.failed), percent: share(sums.failed, sums.requests) }) : texts.no_failures),
  total_tokens: (sums) => (sums.requests ? fill(texts.per_request, { n: compact(Math.round(sums.total_tokens / sums.requests)) }) : texts.in_and_out),
  input_tokens: (sums) => fill(texts.cached_of, { percent: share(sums.cached_tokens, sums.input_tokens) }),
  output_tokens: (sums) => (sums.requests ? fill(texts.per_request, { n: compact(Math.round(sums.output_tokens / sums.requests)) }) : ""),
  reasoning_tokens: (sums) => fill(texts.share_of, { percent: share(sums.reasoning_tokens, sums.output_tokens) }),
  cost_dollars: (sums) => (sums.unpriced ? fill(texts.unpriced_of, { n: whole(sums.unpriced) }) : texts.all_priced),
};

function summaryCards(now, before) {
  return Object.entries(NOTES).map(([measure, note]) => {
    const isCost = measure === "cost_dollars";
    return {
      measure,
      value: (isCost ? dollars : compact)(now[measure]),
      full: (isCost ? exactDollars : whole)(now[measure]),
      note: note(now),
      isBad: measure === "requests" && now.failed > now.requests * 0.05,
      change: compared(now[measure], before?.[measure], isCost ? dollars : compact),
    };
  });
}

function latencyCards(now, before) {
  return ["latency_p50_ms", "latency_p95_ms"].map((measure) => {
    const value = now?.[measure] ?? null;
    const first = now?.[measure.replace("latency", "ttft")] ?? null;
    return {
      measure,
      value: milliseconds(value),
      full: value === null ? "" : `${whole(value)} ms`,
      note: !now ? texts.no_latency : first === null ? "" : fill(texts.first_token, { time: milliseconds(first) }),
      change: compared(value, before?.[measure], milliseconds),
    };
  });
}

function compared(now, before, format) {
  if (!before || now === null) return { text: "", title: texts.not_before };
  const text = change(now, before);
  return { text, title: fill(texts.before, { change: text, value: format(before) }) };
}

export function cards(page) {
  const { facts, span_before: span, summary, summary_before, latency, latency_before } = page.rows;
  // What began before the first event cannot be compared with.
  const began = facts[0]?.first_event_at;
  const known = began !== null && span?.[0] && began <= span[0].starts_at;
  const items = [
    ...summaryCards(summary[0], known ? summary_before?.[0] : null).map((card) => ({ ...card, href: link(page, "summary") })),
    ...latencyCards(latency?.[0], known ? latency_before?.[0] : null).map((card) => ({ ...card, href: link(page, "latency") })),
  ];
  keep(find("cards"), [...items, { measure: "links" }], (item) => item.measure, draw);
  const row = find("cards").querySelector(".card-links");
  for (const part of ["summary", "latency"]) show(row.querySelector(`[data-part=${part}]`), page.sections[part]);
}

const link = (page, part) => (page.sections[part]?.parameters ? address(page.sections[part]) : null);

function draw(card) {
  if (card.measure === "links") {
    return make("p", { class: "card-links" },
      ...["summary", "latency"].map((part) => make("span", { class: "links", "data-part": part })));
  }
  const value = make(card.href ? "a" : "span", { class: "value", href: card.href, title: card.full, "data-focus": "value" }, card.value);
  return make("article", { class: "card", "data-measure": card.measure },
    make("h2", {}, texts.cards[card.measure]),
    value,
    make("p", { class: card.isBad ? "note bad" : "note" }, card.note || " "),
    make("p", { class: "change", title: card.change.title }, card.change.text || "–"));
}
