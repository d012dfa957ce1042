// The charts: what each shows, its Vega-Lite specification, and the drawing of all of them.

import { bdi, find, make, setText, update } from "./dom.js";
import { compact, day, fill, interval, milliseconds, minute, parseUtc, texts, timeOfDay, whole } from "./format.js";

const COLORS = 6;
const TOP_BARS = 8;
const MINUTE = 60e3;
const HOUR = 3600e3;

let measure = "total_tokens";

export const setMeasure = (name) => {
  measure = name;
};

// Specifications. Rows and whatever else changes are set by name; a colour is a variable of the
// page's style, written "var-name".

const TIME = {
  type: "quantitative",
  scale: { domainMin: { expr: "from" }, domainMax: { expr: "until" }, nice: false, zero: false },
  axis: { values: { expr: "ticks" }, labelExpr: "labels[datum.value]", title: null, grid: false, labelOverlap: true, labelFlush: false },
};
const amount = (labelExpr, tickCount = 4) => ({ type: "quantitative", axis: { title: null, tickCount, labelExpr } });
const COMPACT = "datum.value >= 1e9 ? format(datum.value / 1e9, '.3~r') + 'B' : datum.value >= 1e6 ? format(datum.value / 1e6, '.3~r') + 'M' : datum.value >= 1e3 ? format(datum.value / 1e3, '.3~r') + 'K' : format(datum.value, '.3~r')";
const SECONDS = "datum.value >= 1000 ? format(datum.value / 1000, '.3~r') + ' s' : format(datum.value, '.3~r') + ' ms'";
const FRAME = {
  width: "container", height: "container", autosize: { type: "fit", contains: "padding" }, background: "transparent",
};
const GAPS = {
  data: { name: "gaps", values: [] },
  mark: { type: "rect", opacity: 0.5 },
  encoding: {
    x: { ...TIME, field: "starts_at" }, x2: { field: "ends_at" },
    color: { value: "var-gap" }, tooltip: { field: "tip" },
  },
};

// Layers over the time of the range, behind them the gaps in collection.
const overRange = (...layers) => ({
  ...FRAME,
  params: [{ name: "from", value: 0 }, { name: "until", value: 1 }, { name: "ticks", value: [] }, { name: "labels", value: {} }],
  layer: [GAPS, ...layers],
});

const STACK = overRange({
  data: { name: "rows", values: [] },
  mark: { type: "rect", strokeWidth: 1 },
  encoding: {
    x: { ...TIME, field: "starts_at" }, x2: { field: "ends_at" },
    y: { ...amount(COMPACT), field: "below" }, y2: { field: "above" },
    color: { field: "color", type: "nominal", scale: null }, stroke: { value: "var-panel" },
    tooltip: { field: "tip" },
  },
});

const line = (field, color, strokeDash = [1, 0]) => ({
  data: { name: "rows", values: [] },
  mark: { type: "line", point: { size: 28, filled: true }, strokeWidth: 2, strokeDash },
  encoding: {
    x: { ...TIME, field: "middle_at" }, y: { ...amount(SECONDS), field },
    color: { value: color }, tooltip: { field: "tip" },
  },
});

const LATENCIES = [line("latency_p95_ms", "var-series-2"), line("latency_p50_ms", "var-series-1")];
const LATENCY = overRange(...LATENCIES, line("ttft_p50_ms", "var-series-3", [3, 3]));
const LATENCY_UNSTREAMED = overRange(...LATENCIES);

const BARS = {
  ...FRAME,
  data: { name: "rows", values: [] },
  params: [{ name: "labels", value: {} }],
  encoding: {
    y: { field: "rank", type: "ordinal", axis: { title: null, labelExpr: "labels[datum.value]", labelLimit: 130, ticks: false, domain: false, labelPadding: 8 } },
    tooltip: { field: "tip" },
  },
  layer: [
    {
      mark: { type: "bar", cornerRadiusEnd: 3, height: { band: 0.62 } },
      encoding: { x: { ...amount(COMPACT, 3), field: "value" }, color: { field: "color", type: "nominal", scale: null } },
    },
  ],
};

// The charts. Each function returns a specification, its data, and a label for screen readers.

const CHARTS = {
  over_time: overTime,
  failure_series: failures,
  latency_series: latency,
  models: (page) => bars(page, "models", "model"),
  accounts: (page) => bars(page, "accounts", "account"),
  clients: (page) => bars(page, "clients", "client"),
};

function overTime(page) {
  const key = { model_series: "model", account_series: "account" }[page.sections.over_time?.query];
  return stackChart(page, "over_time", {
    labelOf: (row) => (key ? row[key] : ""), valueOf: (row) => row[measure],
    nameOf: (label) => label || (key ? texts.others : texts.all_requests),
    format: compact, empty: texts.nothing_here, otherColor: key ? "var-other" : "var-series-1",
  });
}

// What clients have cancelled is no failure.
function failures(page) {
  const rows = (page.rows.failure_series ?? []).filter((row) => row.failed > (row.cancelled ?? 0));
  return stackChart({ ...page, rows: { ...page.rows, failure_series: rows } }, "failure_series", {
    labelOf: (row) => String(row.status_code ?? "?"), valueOf: (row) => row.failed - (row.cancelled ?? 0),
    nameOf: (label) => (label === "?" ? texts.no_status : label || texts.others),
    format: String, empty: texts.no_failures_here, otherColor: "var-other",
  });
}

function stackChart(page, id, { format, empty, ...options }) {
  const rows = page.rows[id] ?? [];
  const { boxes, legend } = stack(rows, options);
  const summary = legend.map((item) => `${item.text} ${format(item.sum)}`).join(", ");
  return { spec: STACK, rows: boxes, legend, ...timeAxis(page, rows), label: rows.length ? `${texts.charts[id]}: ${summary}` : empty };
}

function latency(page) {
  const measured = (page.rows.latency_series ?? []).filter((row) => row.latency_p50_ms !== null);
  const rows = measured.map((row) => ({
    ...row,
    middle_at: (Math.max(row.starts_at, page.rows.range[0]?.starts_at ?? 0) + Math.min(row.ends_at, page.now)) / 2,
    tip: `${interval(row.starts_at, row.ends_at)}\np50 ${milliseconds(row.latency_p50_ms)}\np95 ${milliseconds(row.latency_p95_ms)}\n${fill(texts.first_token, { time: milliseconds(row.ttft_p50_ms) })}`,
  }));
  const isStreamed = rows.some((row) => row.ttft_p50_ms !== null);
  const lines = [["p50", "var-series-1"], ["p95", "var-series-2"]];
  if (isStreamed) lines.push([fill(texts.first_token, { time: "p50" }), "var-series-3"]);
  return {
    spec: isStreamed ? LATENCY : LATENCY_UNSTREAMED, rows, ...timeAxis(page, []),
    legend: rows.length ? lines.map(([text, color]) => ({ label: text, text, color })) : [],
    label: !page.sections.latency_series ? texts.no_latency_here : rows.length ? texts.charts.latency_series : texts.nothing_here,
  };
}

function bars(page, id, key) {
  const top = (page.rows[id] ?? []).slice(0, TOP_BARS);
  const rows = top.map((row, rank) => ({
    rank, value: row.total_tokens, color: style("series-1"), tip: `${row[key].slice(0, 200)}\n${whole(row.total_tokens)}`,
  }));
  const names = top.map((row) => row[key].slice(0, 80));
  const summary = top.map((row, rank) => `${names[rank]} ${compact(row.total_tokens)}`).join(", ");
  return { spec: BARS, rows, signals: { labels: { ...names } }, label: rows.length ? `${texts.charts[id]}: ${summary}` : texts.nothing_here };
}

// Rows as boxes that stand on one another, the label with the largest sum lowest. The labels
// beyond the colours, and rows without a label, are one box.
function stack(rows, { labelOf, valueOf, nameOf, otherColor }) {
  const sums = new Map();
  for (const row of rows) sums.set(labelOf(row), (sums.get(labelOf(row)) ?? 0) + valueOf(row));
  const order = [...sums].sort(([a, m], [b, n]) => (a === "") - (b === "") || n - m).map(([label]) => label);
  const top = order.filter((label) => label !== "").slice(0, COLORS);
  const others = order.filter((label) => !top.includes(label));
  const legend = top.map((label, index) => ({ label, text: nameOf(label), color: `var-series-${index + 1}`, sum: sums.get(label) }));
  if (others.length) legend.push({ label: "", text: nameOf(""), color: otherColor, sum: others.reduce((sum, label) => sum + sums.get(label), 0) });
  const ranks = new Map(legend.map(({ label }, index) => [label, index]));
  const byKey = new Map();
  for (const row of rows) {
    const label = top.includes(labelOf(row)) ? labelOf(row) : "";
    const key = `${row.starts_at} ${label}`;
    const box = byKey.get(key) ?? { starts_at: row.starts_at, ends_at: row.ends_at, label, value: 0 };
    box.value += valueOf(row);
    byKey.set(key, box);
  }
  const boxes = [...byKey.values()].filter((box) => box.value > 0).sort((a, b) => ranks.get(a.label) - ranks.get(b.label));
  const heights = new Map();
  for (const box of boxes) {
    const { text, color } = legend[ranks.get(box.label)];
    box.below = heights.get(box.starts_at) ?? 0;
    box.above = box.below + box.value;
    heights.set(box.starts_at, box.above);
    box.color = style(color.slice(4));
    box.tip = `${interval(box.starts_at, box.ends_at)}\n${text}: ${whole(box.value)}`;
  }
  return { boxes, legend };
}

// The time axis of the range, wide enough for its rows, and the gaps in collection on it.
function timeAxis(page, rows) {
  const { starts_at, ends_at } = page.rows.range[0] ?? { starts_at: 0, ends_at: 1 };
  const from = Math.min(starts_at, ...rows.map((row) => row.starts_at));
  const until = Math.max(ends_at, ...rows.map((row) => row.ends_at));
  const axis = axisOf(from, until);
  return { signals: axis, gaps: gaps(page, axis) };
}

// An axis is the same for a minute: the chart is not drawn again for each refresh.
const axes = new Map();

function axisOf(from, until) {
  const key = `${Math.floor(from / MINUTE)} ${Math.floor(until / MINUTE)}`;
  if (!axes.has(key)) {
    if (axes.size > 20) axes.clear();
    axes.set(key, { from, until, ...ticks(from, until) });
  }
  return axes.get(key);
}

// Ticks at round local times, also where the clocks change.
function ticks(from, until) {
  const length = until - from;
  const isRound =
    length <= 2 * HOUR ? ({ minutes }) => minutes % 10 === 0
    : length <= 7 * HOUR ? ({ minutes }) => minutes === 0
    : length <= 50 * HOUR ? ({ hours, minutes }) => minutes === 0 && hours % (length > 26 * HOUR ? 6 : 3) === 0
    : null;
  const all = isRound ? roundTimes(from, until, { step: (length <= 2 * HOUR ? 5 : 15) * MINUTE, isRound }) : midnights(from, until);
  const every = Math.max(1, Math.ceil(all.length / 10));
  const kept = all.filter((_, index) => index % every === 0);
  const labels = Object.fromEntries(kept.map((at) => {
    const { hours, minutes } = timeOfDay(at);
    return [at, isRound && (hours || minutes) ? minute(at) : day(at)];
  }));
  return { ticks: kept, labels };
}

function roundTimes(from, until, { step, isRound }) {
  const times = [];
  for (let at = Math.ceil(from / step) * step; at <= until; at += step) if (isRound(timeOfDay(at))) times.push(at);
  return times;
}

function midnights(from, until) {
  const times = [];
  let at = Math.ceil(from / (HOUR / 4)) * (HOUR / 4);
  while (at <= until) {
    const { hours, minutes } = timeOfDay(at);
    const sinceMidnight = hours * HOUR + minutes * MINUTE;
    if (sinceMidnight === 0) {
      times.push(at);
      at += 24 * HOUR;
    } else at += sinceMidnight < 12 * HOUR && times.length ? -sinceMidnight : 24 * HOUR - sinceMidnight;
  }
  return times;
}

function gaps(page, { from, until }) {
  const all = (page.rows.gaps ?? [])
    .map((gap) => ({ starts_at: parseUtc(gap.started_utc), ends_at: parseUtc(gap.ended_utc) ?? page.now, cause: page.several ? `${gap.cause} (${gap.proxy})` : gap.cause }))
    .filter((gap) => gap.ends_at > from && gap.starts_at < until)
    .map((gap) => ({
      starts_at: Math.max(from, gap.starts_at), ends_at: Math.min(until, gap.ends_at),
      tip: `${interval(gap.starts_at, gap.ends_at)}\n${fill(texts.gap, { cause: gap.cause })}`,
    }));
  return all.length ? all : [{ starts_at: from, ends_at: from, tip: "" }];
}

// Drawing.

const drawn = new Map();
let loading = null;

export async function showCharts(page) {
  try {
    await Promise.all(Object.entries(CHARTS).map(([id, chart]) => draw(id, chart(page))));
  } catch (error) {
    console.error(error);
    for (const box of document.querySelectorAll(".chart")) showText(box, texts.no_charts);
  }
}

// New rows go into the drawn chart by name; only other colours make a new chart.
async function draw(id, { spec, rows, gaps, signals, legend, label }) {
  if (legend) showLegend(id, legend);
  const box = find(`chart-${id}`);
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", label);
  const theme = style("panel");
  const content = JSON.stringify([rows, gaps, signals, theme]);
  const entry = drawn.get(id) ?? {};
  drawn.set(id, entry);
  if (entry.content === content) return;
  entry.content = content;
  if (!rows.length) {
    entry.view?.finalize();
    entry.view = null;
    return showText(box, label);
  }
  const embed = await loadEmbed();
  // Newer rows came while the script was loading.
  if (entry.content !== content) return;
  if (!entry.view || entry.theme !== theme || entry.spec !== spec) {
    entry.view?.finalize();
    box.replaceChildren();
    const filled = withData(withColors(spec), { rows, gaps: gaps ?? [] }, signals);
    const { view } = await embed(box, filled, {
      ast: true, defaultStyle: false, actions: false, renderer: "svg", tooltip: showTip, config: configuration(),
    });
    Object.assign(entry, { view, theme, spec });
  }
  const { view } = entry;
  for (const [signal, value] of Object.entries(signals)) view.signal(signal, value);
  if (gaps) view.data("gaps", gaps);
  view.data("rows", rows);
  await view.runAsync();
}

function loadEmbed() {
  loading ??= new Promise((resolve, reject) => {
    const script = make("script", { src: document.body.dataset.charts });
    script.addEventListener("load", () => resolve(window.vegaEmbed));
    script.addEventListener("error", reject);
    document.head.append(script);
  });
  return loading;
}

const style = (variable) => getComputedStyle(document.documentElement).getPropertyValue(`--${variable}`).trim();

const mapValues = (object, convert) => Object.fromEntries(Object.entries(object).map(([key, value]) => [key, convert(value)]));

function withColors(value) {
  if (typeof value === "string") return value.startsWith("var-") ? style(value.slice(4)) : value;
  if (Array.isArray(value)) return value.map(withColors);
  return value && typeof value === "object" ? mapValues(value, withColors) : value;
}

// The first rows must be in the specification itself.
function withData(value, data, signals) {
  const convert = (part) => withData(part, data, signals);
  if (Array.isArray(value)) return value.map(convert);
  if (!value || typeof value !== "object") return value;
  if (value.name in data) return { name: value.name, values: data[value.name] };
  if (value.name in signals) return { name: value.name, value: signals[value.name] };
  return mapValues(value, convert);
}

const configuration = () => ({
  font: getComputedStyle(document.body).fontFamily,
  view: { stroke: null },
  axis: {
    labelColor: style("muted"), gridColor: style("line"), domainColor: style("line"), tickColor: style("line"),
    labelFontSize: 11, domain: false, ticks: false, labelPadding: 6,
  },
});

function showTip(handler, event, item, value) {
  const box = find("tip");
  box.hidden = value === null || value === undefined || value === "";
  if (box.hidden) return;
  setText(box, String(value));
  const left = Math.min(event.clientX + 14, window.innerWidth - box.offsetWidth - 8);
  const top = Math.min(event.clientY + 14, window.innerHeight - box.offsetHeight - 8);
  box.style.setProperty("left", `${Math.max(8, left)}px`);
  box.style.setProperty("top", `${Math.max(8, top)}px`);
}

const showText = (box, text) => box.replaceChildren(make("p", { class: "blank" }, text));

function showLegend(id, items) {
  update(find(`legend-${id}`), items, (item) => item.label, ({ color, text, sum }) =>
    make("li", {}, make("i", { class: `swatch ${color.slice(4)}` }), bdi(text), sum === undefined ? null : make("b", { title: whole(sum) }, compact(sum))));
}
