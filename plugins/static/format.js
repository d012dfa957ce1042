// Numbers and times in the reader's notation; times are in the ledger's time zone.

export const texts = JSON.parse(document.getElementById("page-texts").textContent);
const language = document.documentElement.lang;
const locale = navigator.languages.find((one) => one.slice(0, 2) === language.slice(0, 2)) ?? language;

let zone = "UTC";
const formatters = new Map();

export function setZone(name) {
  if (!name || name === zone) return;
  zone = name;
  formatters.clear();
}

function formatter(kind, options) {
  const key = kind + JSON.stringify(options);
  if (!formatters.has(key)) {
    const Format = kind === "number" ? Intl.NumberFormat : Intl.DateTimeFormat;
    formatters.set(key, new Format(locale, kind === "number" ? options : { timeZone: zone, hourCycle: "h23", ...options }));
  }
  return formatters.get(key);
}

const number = (value, options) => formatter("number", options).format(value);
const time = (at, options) => formatter("time", options).format(at);

export const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);

export const whole = (value) => number(value, { maximumFractionDigits: 0 });

const SUFFIXES = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "K"]];

// Three significant digits, as in 1.28M; below a thousand, the whole number.
export function compact(value) {
  if (value === null || value === undefined) return "–";
  const suffix = SUFFIXES.find(([size]) => Math.abs(value) >= size * 0.9995);
  if (!suffix) return whole(value);
  return number(value / suffix[0], { maximumSignificantDigits: 3 }) + suffix[1];
}

// The currency in which dollars are shown, at the rate of the settings.
let currency = { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol" };
let rate = 1;

export function setCurrency(costs) {
  currency = { ...currency, currency: costs.currency };
  rate = costs.currency_rate;
}

export function money(dollars) {
  if (dollars === null || dollars === undefined) return "–";
  const value = dollars * rate;
  const digits = Math.abs(value) >= 1000 ? 0 : 2;
  return number(value, { ...currency, minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export const exactMoney = (dollars) => number(dollars * rate, { ...currency, maximumFractionDigits: 6 });

// A sum of costs is a lower bound where attempts are missing in it.
export const atLeast = (dollars, unpriced) => (unpriced ? `≥ ${money(dollars)}` : money(dollars));

export const missing = (unpriced) => (unpriced ? fill(unpriced === 1 ? texts.unpriced_one : texts.unpriced_of, { n: whole(unpriced) }) : "");

// A sum of costs in full, with the number of attempts that it lacks.
export const exactCost = (dollars, unpriced) => [`${unpriced ? "≥ " : ""}${exactMoney(dollars)}`, missing(unpriced)].filter(Boolean).join(", ");

// One decimal below ten percent.
const decimals = (share) => (Math.abs(share) < 0.1 ? 1 : 0);

export const percent = (share) => number(share, { style: "percent", maximumFractionDigits: share ? decimals(share) : 0 });

export function change(now, before) {
  const share = (now - before) / before;
  if (Math.abs(share) < 0.0005) return texts.same;
  return number(share, { style: "percent", signDisplay: "exceptZero", maximumFractionDigits: decimals(share) });
}

export function milliseconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1000) return `${whole(value)} ms`;
  return `${number(value / 1000, { maximumSignificantDigits: 3 })} s`;
}

const UNITS = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];

// The two largest units of a duration.
export function duration(seconds) {
  const rest = Math.max(0, Math.round(seconds));
  const index = Math.max(0, UNITS.findIndex(([size]) => rest >= size));
  const [size, unit] = rest ? UNITS[index] : UNITS[3];
  const count = Math.floor(rest / size);
  const parts = [inUnit(count, unit)];
  const next = UNITS[index + 1];
  const more = next && count < 10 && unit !== "minute" ? Math.floor((rest % size) / next[0]) : 0;
  if (more) parts.push(inUnit(more, next[1]));
  return parts.join(" ");
}

const inUnit = (value, unit) => number(value, { style: "unit", unit, unitDisplay: "narrow" });

const HOUR_MINUTE = { hour: "2-digit", minute: "2-digit" };
const MONTH_DAY = { month: "short", day: "numeric" };

export const clock = (at) => time(at, { ...HOUR_MINUTE, second: "2-digit" });
export const minute = (at) => time(at, HOUR_MINUTE);
export const day = (at) => time(at, MONTH_DAY);
// YYYY-MM-DD.
export const isoDay = (at) => new Intl.DateTimeFormat("en-CA", { timeZone: zone }).format(at);
export const exact = (at) => time(at, { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" });

// An instant near `now`: the hour on the same day, with the weekday within six days, else the date.
export function moment(at, now) {
  if (Math.abs(at - now) > 6 * 86400e3) return time(at, { ...MONTH_DAY, ...HOUR_MINUTE });
  if (day(at) === day(now)) return minute(at);
  return time(at, { weekday: "short", ...HOUR_MINUTE });
}

export function interval(from, until) {
  if (until - from > 20 * 3600e3) return time(from, { weekday: "short", ...MONTH_DAY });
  return `${time(from, { ...MONTH_DAY, ...HOUR_MINUTE })} – ${time(until, { ...HOUR_MINUTE, timeZoneName: "short" })}`;
}

export function timeOfDay(at) {
  const parts = formatter("time", HOUR_MINUTE).formatToParts(at);
  const value = (type) => Number(parts.find((part) => part.type === type).value);
  return { hours: value("hour") % 24, minutes: value("minute") };
}

export const parseUtc = (text) => (text ? Date.parse(`${text.replace(" ", "T")}Z`) : null);

const replaceAll = (text, patterns) => patterns.reduce((result, [pattern, replacement]) => result.replace(new RegExp(pattern, "g"), replacement), text);
export const limitLabel = (label) => replaceAll(label, texts.labels);
export const outcome = (text) => replaceAll(text, texts.outcomes);
