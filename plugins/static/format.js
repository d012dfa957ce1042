// Numbers and times as the reader writes them; times are of the ledger's own time zone.

export const texts = JSON.parse(document.getElementById("page-texts").textContent);
const language = document.documentElement.lang;
export const locale = navigator.languages.find((one) => one.slice(0, 2) === language.slice(0, 2)) ?? language;

let zone = "UTC";
const made = new Map();

export function setZone(name) {
  if (!name || name === zone) return;
  zone = name;
  made.clear();
}

function formatter(kind, options) {
  const key = kind + JSON.stringify(options);
  if (!made.has(key)) {
    const Maker = kind === "number" ? Intl.NumberFormat : Intl.DateTimeFormat;
    made.set(key, new Maker(locale, kind === "number" ? options : { timeZone: zone, hourCycle: "h23", ...options }));
  }
  return made.get(key);
}

const number = (options) => formatter("number", options);
const when = (options) => formatter("time", options);

export const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);

export const whole = (value) => number({ maximumFractionDigits: 0 }).format(value);

const STEPS = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "K"]];

// 1.28M: three digits that count. Below a thousand, the number itself.
export function compact(value) {
  if (value === null || value === undefined) return "–";
  const step = STEPS.find(([size]) => Math.abs(value) >= size * 0.9995);
  if (!step) return number({ maximumFractionDigits: 0 }).format(value);
  return number({ maximumSignificantDigits: 3 }).format(value / step[0]) + step[1];
}

export function dollars(value) {
  if (value === null || value === undefined) return "–";
  const digits = Math.abs(value) >= 1000 ? 0 : 2;
  return number({ style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

export const exactDollars = (value) => number({ style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", maximumFractionDigits: 6 }).format(value);

export function percent(share, digits = 1) {
  return number({ style: "percent", maximumFractionDigits: share !== 0 && Math.abs(share) < 0.1 ? digits : 0 }).format(share);
}

export function change(now, before) {
  const share = (now - before) / before;
  if (Math.abs(share) < 0.0005) return texts.same;
  return number({ style: "percent", signDisplay: "exceptZero", maximumFractionDigits: Math.abs(share) < 0.1 ? 1 : 0 }).format(share);
}

export function milliseconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1000) return `${whole(value)} ms`;
  return `${number({ maximumSignificantDigits: 3 }).format(value / 1000)} s`;
}

const UNITS = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];

// The two largest units of a stretch of seconds.
export function stretch(seconds) {
  const rest = Math.max(0, Math.round(seconds));
  const at = Math.max(0, UNITS.findIndex(([size]) => rest >= size));
  const [size, unit] = rest ? UNITS[at] : UNITS[3];
  const count = Math.floor(rest / size);
  const parts = [inUnit(count, unit)];
  const next = UNITS[at + 1];
  const more = next && count < 10 && unit !== "minute" ? Math.floor((rest % size) / next[0]) : 0;
  if (more) parts.push(inUnit(more, next[1]));
  return parts.join(" ");
}

const inUnit = (value, unit) => number({ style: "unit", unit, unitDisplay: "narrow" }).format(value);

export const clock = (at) => when({ hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(at);
export const minute = (at) => when({ hour: "2-digit", minute: "2-digit" }).format(at);
export const day = (at) => when({ month: "short", day: "numeric" }).format(at);
// YYYY-MM-DD, in the ledger's time zone.
export const isoDay = (at) => new Intl.DateTimeFormat("en-CA", { timeZone: zone }).format(at);
export const exact = (at) => when({ year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" }).format(at);

// A time as one would say it: the hour today, the day with it within a week.
export function moment(at, now) {
  const far = Math.abs(at - now) > 6 * 86400e3;
  if (far) return when({ month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" }).format(at);
  if (day(at) === day(now)) return minute(at);
  return when({ weekday: "short", hour: "2-digit", minute: "2-digit" }).format(at);
}

export function span(from, until) {
  const isDay = until - from > 20 * 3600e3;
  if (isDay) return when({ weekday: "short", month: "short", day: "numeric" }).format(from);
  return `${when({ month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" }).format(from)} – ${when({ hour: "2-digit", minute: "2-digit", timeZoneName: "short" }).format(until)}`;
}

export function hourOf(at) {
  const parts = when({ hour: "2-digit", minute: "2-digit" }).formatToParts(at);
  const value = (type) => Number(parts.find((part) => part.type === type).value);
  return { hour: value("hour") % 24, minute: value("minute") };
}

export const utc = (text) => (text ? Date.parse(`${text.replace(" ", "T")}Z`) : null);

// What the ledger says in English, in the page's language where it is known.
export function translated(sentence) {
  for (const [pattern, words] of texts.sentences) {
    const found = new RegExp(pattern);
    if (found.test(sentence)) return sentence.replace(found, words);
  }
  return sentence;
}

const reworded = (text, patterns) => patterns.reduce((said, [pattern, words]) => said.replace(new RegExp(pattern, "g"), words), text);
export const limitLabel = (label) => reworded(label, texts.labels);
export const outcome = (text) => reworded(text, texts.outcomes);
