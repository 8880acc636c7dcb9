// What is explained: the data of the page, unpacked, and what the controls choose of it.
//
// `root` is what all of it stands in: the document of a report, or the shadow root of an output in a notebook.
// `data` holds texts, names and packed numbers; content.py says what they are. A sequence is a number b, its steps
// are t, its variables d; of each there are `data.rows` explanations k, one for each class, or one.

const $ = (id) => root.getElementById(id);
const isText = data.kind === "text";
const B = data.lengths.length;
const D = isText ? 1 : data.width;
const C = data.binary ? 1 : data.outputs.length; // scores

/** Where the steps of each sequence begin among those of all. */
const offsets = [0];
for (const T of data.lengths) offsets.push(offsets.at(-1) + T);

// Numbers -----------------------------------------------------------------------------------------

/** Read base64 of float32 numbers that lack their last, least byte. */
function unpack(text) {
  const bytes = atob(text);
  const whole = new Uint8Array((bytes.length / 3) * 4);
  for (let from = 0, to = 0; from < bytes.length; to++) {
    if (to % 4) whole[to] = bytes.charCodeAt(from++);
  }
  return new Float32Array(whole.buffer);
}

const unpacked = new Map();

/** Unpack when first asked for, and only once. */
function numbers(owner, name) {
  const text = owner[name];
  if (!unpacked.has(text)) unpacked.set(text, unpack(text));
  return unpacked.get(text);
}

const MINUS = "\u2212";

/** Write a number with so many significant digits. */
function shown(x, digits = 3) {
  const isPlain = x === 0 || (Math.abs(x) >= 1e-3 && Math.abs(x) < 1e6);
  const text = isPlain ? String(Number(x.toPrecision(digits))) : x.toExponential(digits - 1);
  return text.replaceAll("-", MINUS).replace("+", "");
}

const signed = (x, digits = 3) => (x > 0 ? "+" : "") + shown(x, digits);

/** Write numbers that stand together: all with as many decimals as the largest needs. */
function addable(values, digits = 3) {
  const largest = Math.max(...values.map(Math.abs));
  if (largest && !(largest >= 1e-3 && largest < 1e6)) return values.map((x) => shown(x, digits));
  const decimals = largest ? Math.max(0, digits - 1 - Math.floor(Math.log10(largest))) : 0;
  return values.map((x) => {
    const text = x.toFixed(decimals);
    return Number(text) ? text.replace("-", MINUS) : "0";
  });
}

// Colours -----------------------------------------------------------------------------------------

const LEVELS = 48; // of each sign

// OKLab, in which distances look as large as they are: both ends are equally light.
const ENDS = {
  light: { zero: [1, 0, 0], positive: [0.5, 0.174, 0.074], negative: [0.5, -0.035, -0.134] },
  dark: { zero: [0.19, 0, -0.005], positive: [0.56, 0.17, 0.075], negative: [0.56, -0.045, -0.13] },
};

function srgb([L, a, b]) {
  const l = (L + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (L - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (L - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const channels = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s,
  ];
  return channels.map((x) => {
    const bounded = Math.min(1, Math.max(0, x));
    return Math.round(255 * (bounded <= 0.0031308 ? 12.92 * bounded : 1.055 * bounded ** (1 / 2.4) - 0.055));
  });
}

const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);

function oklab(rgb) {
  const [r, g, b] = rgb.map(linear);
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

/** The colour of text on a background: of black and white the one with more contrast by WCAG. */
function ink(rgb) {
  const [r, g, b] = rgb.map(linear);
  const luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 ? "#ffffff" : "#000000";
}

function shades(theme) {
  const { zero, positive, negative } = ENDS[theme];
  return Array.from({ length: 2 * LEVELS + 1 }, (_, n) => {
    const strength = Math.abs(n - LEVELS) / LEVELS;
    const end = n < LEVELS ? negative : positive;
    const rgb = srgb(zero.map((from, i) => from + strength * (end[i] - from)));
    return { rgb, background: `rgb(${rgb.join(" ")})`, ink: ink(rgb) };
  });
}

const palette = {};

/** Which shade a fraction of the full scale has, from 0 to 2 LEVELS. */
const level = (fraction) => LEVELS + Math.round(LEVELS * Math.max(-1, Math.min(1, fraction || 0)));

// One class for each shade, so that the theme, and paper, change all words at once.
function shadeRules(theme, where) {
  const rules = palette[theme].map((s, n) => `${where} .s${n}{background:${s.background};color:${s.ink}}`);
  return rules.toSpliced(LEVELS, 1); // zero has none
}
const sheet = new CSSStyleSheet();
function mixColours() {
  for (const theme of ["light", "dark"]) palette[theme] = shades(theme);
  const dark = shadeRules("dark", '[data-theme="dark"]').join("");
  sheet.replaceSync(`${shadeRules("light", "").join("")}@media screen{${dark}}`);
}
mixColours();
root.adoptedStyleSheets = [sheet];

/** What says in data-theme whether all is light or dark. */
const themed = root.documentElement ?? root.querySelector("[data-theme]");

let printing = false;
const theme = () => (printing ? "light" : themed.dataset.theme);

// What is shown -----------------------------------------------------------------------------------

const value = (id, otherwise) => $(id)?.value ?? otherwise;
const method = () => data.methods[value("method", 0)];
const hasClasses = data.predicted !== null && !data.everyStep;

/** Where the explanations of steps, T for each sequence, begin; each has T numbers. */
const squares = [0];
for (const T of data.lengths) squares.push(squares.at(-1) + T * T);

const chosenSteps = new Map(); // of sequences of which a step is explained, which; else the last

const isByStep = () => value("target") === "step";
const chosenStep = (b) => chosenSteps.get(b) ?? data.lengths[b] - 1;

/** Which explanation of a sequence is chosen, and which one is taken away from it, or null. */
function chosen(b) {
  if (isByStep()) return [chosenStep(b), null];
  if (data.rows === 1) return [0, null];
  const target = value("target");
  let k = Number(target);
  if (target === "label") k = data.labels[b] ?? data.predicted[b];
  if (target === "predicted") k = data.predicted[b];
  const against = value("against", "");
  return [k, against === "" || !method().shares || Number(against) === k ? null : Number(against)];
}

/** What one row has more than another; where there is no other, what it has. */
function difference(row, k, against) {
  if (against === null) return row(k);
  const other = row(against);
  return row(k).map((x, i) => x - other[i]);
}

/** The relevance that is shown of a sequence: of each step, or of each variable at each step. */
function relevance(b, [k, against] = chosen(b)) {
  const all = numbers(isByStep() ? method().bySteps : method(), "relevance");
  const size = data.lengths[b] * D;
  const start = D * (isByStep() ? squares[b] : data.rows * offsets[b]);
  return difference((n) => all.subarray(start + n * size, start + (n + 1) * size), k, against);
}

/** What was shared out, and of that what arrived, what initial states got, and the rest. */
function sums(b, [k, against] = chosen(b)) {
  const all = numbers(isByStep() ? method().bySteps : method(), "sums");
  const width = 3 + data.others.length;
  const start = isByStep() ? offsets[b] : data.rows * b;
  const row = (n) => all.subarray(width * (start + n), width * (start + n + 1));
  const [arrived, initial, rest, ...others] = difference(row, k, against);
  return { started: arrived + initial + rest, arrived, initial, rest, others };
}

/** The score of an output; of two classes with one score, that for each. */
function score(b, k) {
  const s = numbers(data, "scores")[C * b + (data.binary ? 0 : k)];
  return data.binary && k === 0 ? -s : s;
}

/** The smallest and the largest number. */
function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const x of values) {
    if (x < low) low = x;
    if (x > high) high = x;
  }
  return [low, high];
}

/** Where the steps of each sequence begin in each further input, of which a row has one. */
const otherOffsets = data.others.map(({ lengths }) => {
  const starts = [0];
  for (let b = 0; b < B; b++) starts.push(starts[b] + (lengths?.[b] ?? 1));
  return starts;
});

/** The relevance that is shown of each further input: of each of its numbers, at each of its steps. */
function otherRelevance(b) {
  if (isByStep()) return [];
  return data.others.map(({ width }, n) => {
    const all = numbers(method().otherRelevance, n);
    const [from, to] = otherOffsets[n].slice(b, b + 2);
    const size = (to - from) * width;
    const start = data.rows * width * from;
    return difference((k) => all.subarray(start + k * size, start + (k + 1) * size), ...chosen(b));
  });
}

const largest = (values) => values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);

const largestOf = (b) => Math.max(largest(relevance(b)), ...otherRelevance(b).map(largest));

/** The relevance that has the full colour: of a sequence, or of all. */
function scale(b) {
  if (value("scale", "each") === "each") return largestOf(b);
  return (shared ??= data.lengths.reduce((most, _, other) => Math.max(most, largestOf(other)), 0));
}
let shared = null; // until something else is shown

const nameOf = (k) => data.outputs[k];

function explained(b) {
  if (isByStep()) {
    const t = chosenStep(b);
    const where = isText ? `“${data.texts[b][2 * t + 1]}”` : stepName(b, t);
    return `${nameOf(data.predicted ? data.predicted[b][t] : 0)} at ${where}`;
  }
  if (data.rows === 1) return data.explained[b].replace(/-(?=\d)/g, MINUS);
  const [k, against] = chosen(b);
  return against === null ? nameOf(k) : `${nameOf(k)} rather than ${nameOf(against)}`;
}
