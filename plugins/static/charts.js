// Draws the charts: rows go in by name, a chart is made again only when its colours change.

import { find, keep, make, name, say } from "./dom.js";
import { compact, day, fill, hourOf, milliseconds, minute, span, texts, utc, whole } from "./format.js";
import { show } from "./links.js";
import { SPECS } from "./specs.js";

const COLORS = 6;
const TOP_BARS = 8;
const HOUR = 3600e3;
const drawn = new Map();
let bundle = null;
let measure = "total_tokens";

export const setMeasure = (chosen) => {
  measure = chosen;
};

function loaded() {
  bundle ??= new Promise((resolve, reject) => {
    const script = make("script", { src: document.body.dataset.charts });
    script.addEventListener("load", () => resolve(window.vegaEmbed));
    script.addEventListener("error", reject);
    document.head.append(script);
  });
  return bundle;
}

const style = (variable) => getComputedStyle(document.documentElement).getPropertyValue(`--${variable}`).trim();

// A specification names the page's colours; here they are looked up.
function colored(value) {
  if (typeof value === "string") return value.startsWith("var-") ? style(value.slice(4)) : value;
  if (Array.isArray(value)) return value.map(colored);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, colored(part)]));
  return value;
}

// The first rows go into the specification itself; later ones take their place by name.
function filledIn(value, data, signals) {
  if (Array.isArray(value)) return value.map((part) => filledIn(part, data, signals));
  if (!value || typeof value !== "object") return value;
  if (value.name in data) return { name: value.name, values: data[value.name] };
  if (value.name in signals) return { name: value.name, value: signals[value.name] };
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, filledIn(part, data, signals)]));
}

const configuration = () => ({
  font: getComputedStyle(document.body).fontFamily,
  view: { stroke: null },
  axis: {
    labelColor: style("muted"), gridColor: style("line"), domainColor: style("line"), tickColor: style("line"),
    labelFontSize: 11, domain: false, ticks: false, labelPadding: 6,
  },
});

function tip(handler, event, item, value) {
  const box = find("tip");
  box.hidden = value === null || value === undefined || value === "";
  if (box.hidden) return;
  say(box, String(value));
  const { innerWidth, innerHeight } = window;
  const left = Math.min(event.clientX + 14, innerWidth - box.offsetWidth - 8);
  const top = Math.min(event.clientY + 14, innerHeight - box.offsetHeight - 8);
  box.style.setProperty("left", `${Math.max(8, left)}px`);
  box.style.setProperty("top", `${Math.max(8, top)}px`);
}

async function draw(id, spec, { rows, gaps, signals, label }) {
  const box = find(`chart-${id}`);
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", label);
  const theme = style("panel");
  const said = JSON.stringify([rows, gaps, signals, theme]);
  const known = drawn.get(id);
  if (known?.said === said) return;
  if (known) known.said = said;
  else drawn.set(id, { said });
  const entry = drawn.get(id);
  if (!rows.length) return blank(box, entry, label);
  const embed = await loaded();
  if (entry.said !== said) return;
  if (!entry.view || entry.theme !== theme || entry.spec !== spec) {
    entry.view?.finalize();
    box.replaceChildren();
    const filled = filledIn(colored(spec), { rows, gaps: gaps ?? [] }, signals);
    const result = await embed(box, filled, {
      ast: true, defaultStyle: false, actions: false, renderer: "svg", tooltip: tip, config: configuration(),
    });
    Object.assign(entry, { view: result.view, theme, spec });
  }
  const { view } = entry;
  for (const [signal, value] of Object.entries(signals)) view.signal(signal, value);
  if (gaps) view.data("gaps", gaps);
  view.data("rows", rows);
  await view.runAsync();
}

function blank(box, entry, label) {
  entry.view?.finalize();
  entry.view = null;
  box.replaceChildren(make("p", { class: "blank" }, label));
}

// Ticks at round local times, whatever the clocks do meanwhile.
function ticks(from, until) {
  const length = until - from;
  const [step, isTick] =
    length <= 2 * HOUR ? [5 * 60e3, (at) => hourOf(at).minute % 10 === 0]
    : length <= 7 * HOUR ? [15 * 60e3, (at) => hourOf(at).minute === 0]
    : length <= 50 * HOUR ? [15 * 60e3, (at) => hourOf(at).minute === 0 && hourOf(at).hour % (length > 26 * HOUR ? 6 : 3) === 0]
    : [0, null];
  const found = step ? sweep(from, until, step, isTick) : midnights(from, until);
  const every = Math.max(1, Math.ceil(found.length / 10));
  const kept = found.filter((_, at) => at % every === 0);
  const labels = Object.fromEntries(kept.map((at) => {
    const { hour, minute: past } = hourOf(at);
    return [at, step && (hour || past) ? minute(at) : day(at)];
  }));
  return { ticks: kept, labels };
}

function sweep(from, until, step, isTick) {
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= until; at += step) if (isTick(at)) found.push(at);
  return found;
}

function midnights(from, until) {
  const found = [];
  let at = Math.ceil(from / (HOUR / 4)) * (HOUR / 4);
  while (at <= until) {
    const { hour, minute: past } = hourOf(at);
    const off = hour * HOUR + past * 60e3;
    if (off === 0) {
      found.push(at);
      at += 24 * HOUR;
    } else at += off < 12 * HOUR && found.length ? -off : 24 * HOUR - off;
  }
  return found;
}

const axes = new Map();

function axis(page, rows) {
  const { starts_at: from, ends_at: until } = page.rows.span[0] ?? { starts_at: 0, ends_at: 1 };
  const first = Math.min(from, ...rows.map((row) => row.starts_at));
  const last = Math.max(until, ...rows.map((row) => row.ends_at));
  const key = `${Math.floor(first / 60e3)} ${Math.floor(last / 60e3)}`;
  if (!axes.has(key)) {
    if (axes.size > 20) axes.clear();
    axes.set(key, { from: first, until: last, ...ticks(first, last) });
  }
  return axes.get(key);
}

function gaps(page, { from, until }) {
  const found = (page.rows.gaps ?? [])
    .map((gap) => ({ starts_at: utc(gap.started_utc), ends_at: utc(gap.ended_utc) ?? page.now, cause: page.several ? `${gap.cause} (${gap.proxy})` : gap.cause }))
    .filter((gap) => gap.ends_at > from && gap.starts_at < until)
    .map((gap) => ({
      starts_at: Math.max(from, gap.starts_at), ends_at: Math.min(until, gap.ends_at),
      tip: `${span(gap.starts_at, gap.ends_at)}\n${fill(texts.gap, { cause: gap.cause })}`,
    }));
  return found.length ? found : [{ starts_at: from, ends_at: from, tip: "" }];
}

// Rows of (time, name, value) as rectangles that stand on one another, the largest name lowest.
function stack(rows, naming, value, colors, shown) {
  const sums = new Map();
  for (const row of rows) sums.set(naming(row), (sums.get(naming(row)) ?? 0) + value(row));
  const order = [...sums].sort(([a, m], [b, n]) => (a === "") - (b === "") || n - m).map(([label]) => label);
  const kept = order.filter((label) => label !== "").slice(0, COLORS);
  const has = new Set(kept);
  const legend = kept.map((label, at) => ({ label, color: colors(label, at), sum: sums.get(label) }));
  const rest = order.filter((label) => !has.has(label));
  if (rest.length) legend.push({ label: "", color: "var-other", sum: rest.reduce((sum, label) => sum + sums.get(label), 0) });
  const rank = new Map(legend.map(({ label }, at) => [label, at]));
  const boxes = new Map();
  for (const row of rows) {
    const label = has.has(naming(row)) ? naming(row) : "";
    const key = `${row.starts_at} ${label}`;
    const known = boxes.get(key) ?? { starts_at: row.starts_at, ends_at: row.ends_at, label, value: 0 };
    known.value += value(row);
    boxes.set(key, known);
  }
  const heights = new Map();
  const found = [...boxes.values()].filter((box) => box.value > 0).sort((a, b) => rank.get(a.label) - rank.get(b.label));
  for (const box of found) {
    box.below = heights.get(box.starts_at) ?? 0;
    box.above = box.below + box.value;
    heights.set(box.starts_at, box.above);
    box.color = style(legend[rank.get(box.label)].color.slice(4));
    box.tip = `${span(box.starts_at, box.ends_at)}\n${shown(box.label)}: ${whole(box.value)}`;
  }
  return { rows: found, legend };
}

function legend(id, items) {
  keep(find(`legend-${id}`), items, (item) => item.label, ({ color, text, sum }) =>
    make("li", {}, make("i", { class: `swatch ${color.slice(4)}` }), name(text), sum === undefined ? null : make("b", { title: whole(sum) }, compact(sum))));
}

const series = (_, at) => `var-series-${at + 1}`;

function overTime(page) {
  const rows = page.rows.over_time ?? [];
  const key = { model_series: "model", account_series: "account" }[page.sections.over_time?.query];
  const shown = (label) => label || (key ? texts.others : texts.all_requests);
  const made = stack(rows, (row) => (key ? row[key] : ""), (row) => row[measure], series, shown);
  if (!key) made.legend.forEach((item) => (item.color = "var-series-1"));
  if (!key) made.rows.forEach((row) => (row.color = style("series-1")));
  const { from, until, ticks: at, labels } = axis(page, rows);
  legend("over_time", made.legend.map((item) => ({ ...item, text: shown(item.label) })));
  return draw("over_time", SPECS.over_time, {
    rows: made.rows, gaps: gaps(page, { from, until }), signals: { from, until, ticks: at, labels },
    label: rows.length ? `${texts.over_time}: ${made.legend.map((item) => `${shown(item.label)} ${compact(item.sum)}`).join(", ")}` : texts.nothing_here,
  });
}

function failures(page) {
  const rows = page.rows.failure_series ?? [];
  const shown = (label) => (label === "?" ? texts.no_status : label || texts.others);
  const made = stack(rows, (row) => String(row.status_code ?? "?"), (row) => row.failed, series, shown);
  const { from, until, ticks: at, labels } = axis(page, rows);
  legend("failure_series", made.legend.map((item) => ({ ...item, text: shown(item.label) })));
  return draw("failure_series", SPECS.failure_series, {
    rows: made.rows, gaps: gaps(page, { from, until }), signals: { from, until, ticks: at, labels },
    label: rows.length ? `${texts.failures_over_time}: ${made.legend.map((item) => `${shown(item.label)} ${item.sum}`).join(", ")}` : texts.no_failures_here,
  });
}

function latency(page) {
  const timed = (page.rows.latency_series ?? []).filter((row) => row.latency_p50_ms !== null);
  const rows = timed.map((row) => ({
    ...row,
    middle_at: (Math.max(row.starts_at, page.rows.span[0]?.starts_at ?? 0) + Math.min(row.ends_at, page.now)) / 2,
    tip: `${span(row.starts_at, row.ends_at)}\np50 ${milliseconds(row.latency_p50_ms)}\np95 ${milliseconds(row.latency_p95_ms)}\n${fill(texts.first_token, { time: milliseconds(row.ttft_p50_ms) })}`,
  }));
  const { from, until, ticks: at, labels } = axis(page, []);
  const isStreamed = rows.some((row) => row.ttft_p50_ms !== null);
  const names = [["p50", "var-series-1"], ["p95", "var-series-2"], [fill(texts.first_token, { time: "p50" }), "var-series-3"]];
  if (!isStreamed) names.pop();
  legend("latency_series", rows.length ? names.map(([text, color]) => ({ label: text, text, color })) : []);
  return draw("latency_series", isStreamed ? SPECS.latency_series : SPECS.latency_unstreamed, {
    rows, gaps: gaps(page, { from, until }), signals: { from, until, ticks: at, labels },
    label: page.sections.latency_series ? (rows.length ? texts.latency_over_time : texts.nothing_here) : texts.no_latency_here,
  });
}

function bars(page, id, key) {
  const top = (page.rows[id] ?? []).slice(0, TOP_BARS);
  const rows = top.map((row, rank) => ({
    rank, value: row.total_tokens, color: style("series-1"), tip: `${row[key].slice(0, 200)}\n${whole(row.total_tokens)}`,
  }));
  const labels = Object.fromEntries(top.map((row, rank) => [rank, row[key].slice(0, 80)]));
  return draw(id, SPECS.bars, {
    rows, signals: { labels },
    label: rows.length ? `${texts.bars[id]}: ${top.map((row) => `${row[key].slice(0, 80)} ${compact(row.total_tokens)}`).join(", ")}` : texts.nothing_here,
  });
}

export async function charts(page) {
  show(find("over_time-links"), page.sections.over_time);
  try {
    await Promise.all([
      overTime(page), failures(page), latency(page),
      bars(page, "models", "model"), bars(page, "accounts", "account"), bars(page, "clients", "client"),
    ]);
  } catch (error) {
    console.error(error);
    for (const box of document.querySelectorAll(".chart")) box.replaceChildren(make("p", { class: "blank" }, texts.no_charts));
  }
}
