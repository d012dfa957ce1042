// The charts, declared as Vega-Lite. Their rows, and what changes with them, come in by name.

const TIME = {
  type: "quantitative",
  scale: { domainMin: { expr: "from" }, domainMax: { expr: "until" }, nice: false, zero: false },
  axis: { values: { expr: "ticks" }, labelExpr: "labels[datum.value]", title: null, grid: false, labelOverlap: true, labelFlush: false },
};
const AMOUNT = { type: "quantitative", axis: { title: null, tickCount: 4 } };
const amount = (format) => ({ ...AMOUNT, axis: { ...AMOUNT.axis, labelExpr: format } });
const COMPACT = "datum.value >= 1e9 ? format(datum.value / 1e9, '.3~r') + 'B' : datum.value >= 1e6 ? format(datum.value / 1e6, '.3~r') + 'M' : datum.value >= 1e3 ? format(datum.value / 1e3, '.3~r') + 'K' : format(datum.value, '.3~r')";
const SECONDS = "datum.value >= 1000 ? format(datum.value / 1000, '.3~r') + ' s' : format(datum.value, '.3~r') + ' ms'";
const PARAMETERS = [
  { name: "from", value: 0 }, { name: "until", value: 1 }, { name: "ticks", value: [] }, { name: "labels", value: {} },
];
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
const stacked = (format) => ({
  ...FRAME,
  params: PARAMETERS,
  layer: [
    GAPS,
    {
      data: { name: "rows", values: [] },
      mark: { type: "rect", strokeWidth: 1 },
      encoding: {
        x: { ...TIME, field: "starts_at" }, x2: { field: "ends_at" },
        y: { ...amount(format), field: "below" }, y2: { field: "above" },
        color: { field: "color", type: "nominal", scale: null }, stroke: { value: "var-panel" },
        tooltip: { field: "tip" },
      },
    },
  ],
});
const line = (field, color, dash) => ({
  data: { name: "rows", values: [] },
  mark: { type: "line", point: { size: 28, filled: true }, strokeWidth: 2, strokeDash: dash },
  encoding: {
    x: { ...TIME, field: "middle_at" }, y: { ...amount(SECONDS), field },
    color: { value: color }, tooltip: { field: "tip" },
  },
});

const latency = (...more) => ({
  ...FRAME,
  params: PARAMETERS,
  layer: [GAPS, line("latency_p95_ms", "var-series-2", [1, 0]), line("latency_p50_ms", "var-series-1", [1, 0]), ...more],
});

export const SPECS = {
  over_time: stacked(COMPACT),
  failure_series: stacked(COMPACT),
  latency_series: latency(line("ttft_p50_ms", "var-series-3", [3, 3])),
  latency_unstreamed: latency(),
  bars: {
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
        encoding: { x: { ...amount(COMPACT), field: "value", axis: { ...AMOUNT.axis, labelExpr: COMPACT, tickCount: 3 } }, color: { field: "color", type: "nominal", scale: null } },
      },
    ],
  },
};
