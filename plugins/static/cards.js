// The cards: the sums of the range, each compared with the equally long range before it.

import { queryAddress, showLinks } from "./address.js";
import { find, make, update } from "./dom.js";
import { atLeast, change, compact, exactCost, fill, milliseconds, missing, money, percent, texts, whole } from "./format.js";

const share = (part, of) => (of ? percent(part / of) : percent(0));
const perRequest = (sums, measure) => fill(texts.per_request, { n: compact(Math.round(sums[measure] / sums.requests)) });

const saved = (sums) => (sums.saved_dollars ? fill(texts.cache_saved, { amount: money(sums.saved_dollars) }) : "");

// What a client has cancelled is no failure; null is not known.
const cancelled = (sums) => sums.cancelled ?? 0;
const failures = (sums) => sums.failed - cancelled(sums);

function failureNote(sums) {
  if (cancelled(sums)) return fill(texts.failed_and_cancelled, { n: whole(failures(sums)), cancelled: whole(cancelled(sums)) });
  return sums.failed ? fill(texts.failed_of, { n: whole(sums.failed), percent: share(sums.failed, sums.requests) }) : texts.no_failures;
}

const NOTES = {
  requests: failureNote,
  total_tokens: (sums) => (sums.requests ? perRequest(sums, "total_tokens") : texts.in_and_out),
  input_tokens: (sums) => fill(texts.cached_of, { percent: share(sums.cached_tokens, sums.input_tokens) }),
  output_tokens: (sums) => (sums.requests ? perRequest(sums, "output_tokens") : ""),
  reasoning_tokens: (sums) => fill(texts.share_of, { percent: share(sums.reasoning_tokens, sums.output_tokens) }),
  cost_dollars: (sums) => [missing(sums.unpriced), saved(sums)].filter(Boolean).join(" · ") || texts.all_priced,
};

function summaryCards(now, before) {
  return Object.entries(NOTES).map(([measure, note]) => {
    const isCost = measure === "cost_dollars";
    return {
      measure,
      value: isCost ? atLeast(now[measure], now.unpriced) : compact(now[measure]),
      full: isCost ? exactCost(now[measure], now.unpriced) : whole(now[measure]),
      note: note(now),
      isBad: measure === "requests" && failures(now) > now.requests * 0.05,
      change: comparison(now[measure], before?.[measure], isCost ? money : compact),
    };
  });
}

function latencyCards(now, before) {
  return ["latency_p50_ms", "latency_p95_ms"].map((measure) => {
    const value = now?.[measure] ?? null;
    const firstToken = now?.[measure.replace("latency", "ttft")] ?? null;
    return {
      measure,
      value: milliseconds(value),
      full: value === null ? "" : `${whole(value)} ms`,
      note: !now ? texts.no_latency : firstToken === null ? "" : fill(texts.first_token, { time: milliseconds(firstToken) }),
      change: comparison(value, before?.[measure], milliseconds),
    };
  });
}

function comparison(now, before, format) {
  if (!before || now === null) return { text: "", title: texts.not_compared };
  const text = change(now, before);
  return { text, title: fill(texts.compared, { change: text, value: format(before) }) };
}

export function showCards(page) {
  const { ledger_info, range_before: before, summary, summary_before, latency, latency_before } = page.rows;
  // A range that begins before the first event cannot be compared with.
  const firstEventAt = ledger_info[0]?.first_event_at;
  const isComplete = firstEventAt !== null && before?.[0] && firstEventAt <= before[0].starts_at;
  const cards = [
    ...summaryCards(summary[0], isComplete ? summary_before?.[0] : null).map((card) => ({ ...card, href: address(page, "summary") })),
    ...latencyCards(latency?.[0], isComplete ? latency_before?.[0] : null).map((card) => ({ ...card, href: address(page, "latency") })),
  ];
  update(find("cards"), [...cards, { measure: "links" }], (card) => card.measure, draw);
  const row = find("cards").querySelector(".card-links");
  for (const part of ["summary", "latency"]) showLinks(row.querySelector(`[data-part=${part}]`), page.sections[part]);
}

const address = (page, part) => (page.sections[part]?.parameters ? queryAddress(page.sections[part]) : null);

function draw(card) {
  if (card.measure === "links") {
    return make("p", { class: "card-links" },
      ...["summary", "latency"].map((part) => make("span", { class: "links", "data-part": part })));
  }
  const value = make(card.href ? "a" : "span", { class: "value", href: card.href, title: card.full, "data-focus": "value" }, card.value);
  return make("article", { class: "card", "data-measure": card.measure },
    make("h2", {}, texts.cards[card.measure]),
    value,
    make("p", { class: card.isBad ? "note bad" : "note", title: card.note }, card.note || " "),
    make("p", { class: "change", title: card.change.title }, card.change.text || "–"));
}
