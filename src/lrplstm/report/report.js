// What the page of a report does: it draws explanations as they come into view.
//
// #data holds texts, names and packed numbers; content.py says what they are. Text gets into the page as
// textContent only. A sequence is a number b, its steps are t, its variables d; of each there are `data.rows`
// explanations k, one for each class, or one.
"use strict";

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
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
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s,
  ];
  return linear.map((x) => {
    const bounded = Math.min(1, Math.max(0, x));
    return Math.round(255 * (bounded <= 0.0031308 ? 12.92 * bounded : 1.055 * bounded ** (1 / 2.4) - 0.055));
  });
}

/** The colour of text on a background: of black and white the one with more contrast by WCAG. */
function ink(rgb) {
  const [r, g, b] = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  const luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 ? "#ffffff" : "#000000";
}

function shades(theme) {
  const { zero, positive, negative } = ENDS[theme];
  return Array.from({ length: 2 * LEVELS + 1 }, (_, n) => {
    const strength = Math.abs(n - LEVELS) / LEVELS;
    const end = n < LEVELS ? negative : positive;
    const rgb = srgb(zero.map((from, i) => from + strength * (end[i] - from)));
    return { background: `rgb(${rgb.join(" ")})`, ink: ink(rgb) };
  });
}

const palette = { light: shades("light"), dark: shades("dark") };

/** Which shade a fraction of the full scale has, from 0 to 2 LEVELS. */
const level = (fraction) => LEVELS + Math.round(LEVELS * Math.max(-1, Math.min(1, fraction || 0)));

// One class for each shade, so that the theme, and paper, change all words at once.
function shadeRules(theme, where) {
  const rules = palette[theme].map((s, n) => `${where} .s${n}{background:${s.background};color:${s.ink}}`);
  return rules.toSpliced(LEVELS, 1); // zero has none
}
const sheet = new CSSStyleSheet();
sheet.replaceSync(
  `${shadeRules("light", "").join("")}@media screen{${shadeRules("dark", '[data-theme="dark"]').join("")}}`,
);
document.adoptedStyleSheets = [sheet];

let printing = false;
const theme = () => (printing ? "light" : document.documentElement.dataset.theme);

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

/** The relevance that is shown of a sequence: of each step, or of each variable at each step. */
function relevance(b, [k, against] = chosen(b)) {
  const all = numbers(isByStep() ? method().bySteps : method(), "relevance");
  const size = data.lengths[b] * D;
  const start = D * (isByStep() ? squares[b] : data.rows * offsets[b]);
  const row = (n) => all.subarray(start + n * size, start + (n + 1) * size);
  return against === null ? row(k) : row(k).map((x, i) => x - row(against)[i]);
}

/** What was shared out, and of that what arrived, what initial states got, and the rest. */
function sums(b, [k, against] = chosen(b)) {
  const all = numbers(isByStep() ? method().bySteps : method(), "sums");
  const width = 3 + method().others.length;
  const start = isByStep() ? offsets[b] : data.rows * b;
  const row = (n) => all.subarray(width * (start + n), width * (start + n + 1));
  const own = row(k);
  const [arrived, initial, rest, ...others] = against === null ? own : own.map((x, i) => x - row(against)[i]);
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

const largest = (values) => values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);

/** The relevance that has the full colour: of a sequence, or of all. */
function scale(b) {
  if (value("scale", "each") === "each") return largest(relevance(b));
  return (shared ??= Math.max(...data.lengths.map((_, other) => largest(relevance(other)))));
}
let shared = null; // until something else is shown

const nameOf = (k) => data.outputs[k];

function explained(b) {
  if (isByStep()) {
    const t = chosenStep(b);
    const what = isText ? data.texts[b][2 * t + 1] : stepName(b, t);
    return data.predicted ? `${nameOf(data.predicted[b][t])} at “${what}”` : `the output at “${what}”`;
  }
  if (data.rows === 1) return data.explained[b].replace(/-(?=\d)/g, MINUS);
  const [k, against] = chosen(b);
  return against === null ? nameOf(k) : `${nameOf(k)} rather than ${nameOf(against)}`;
}

// Elements ----------------------------------------------------------------------------------------

function element(tag, properties = {}, ...children) {
  const { data: attributes = {}, style = {}, ...others } = properties;
  const made = Object.assign(document.createElement(tag), others);
  Object.assign(made.dataset, attributes);
  for (const [property, x] of Object.entries(style)) made.style.setProperty(property, x);
  made.append(...children);
  return made;
}

function labelled(made, attributes) {
  for (const [attribute, text] of Object.entries(attributes)) made.setAttribute(attribute, text);
  return made;
}

const rows = data.lengths.map((_, b) => {
  const text = element("p", { className: "plain", textContent: plain(b) });
  return element("li", { className: "row waiting", id: `sequence-${b}`, data: { b } }, text);
});

/** What stands in a row before it is drawn, so that a browser can search for it. */
function plain(b) {
  return isText ? data.texts[b].join("") : data.names[b] || `Series ${b + 1}`;
}

/** Draw a row as it is to be now, and keep the focus where it was. */
function draw(b) {
  const row = rows[b];
  if (row.version === version && !printing) return;
  row.version = printing ? -1 : version;
  const focused = row.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  row.classList.remove("waiting");
  const main = element("div", {}, facts(b), isText ? words(b) : strips(b), sumLine(b));
  const bars = hasBars ? scores(b) : "";
  row.replaceChildren(element("div", { className: bars ? "body with-scores" : "body" }, main, bars));
  if (!isText) drawStrips(b);
  if (focused) row.querySelector(`[data-key="${focused}"]`)?.focus();
}

/** A line about a sequence: its number, what it is predicted as, and whether that is right. */
function facts(b) {
  const line = element("p", { className: "facts" });
  const add = (textContent, className = "") => line.append(element("span", { textContent, className }));
  const addStrong = (text, textContent) => line.append(element("span", {}, text, element("b", { textContent })));
  const predicted = data.predicted?.[b];
  const label = data.labels?.[b] ?? null;
  add(isText ? String(b + 1) : plain(b));
  if (hasClasses && data.outputs.length > 1) {
    addStrong("predicted ", nameOf(predicted));
    if (label === predicted) add("✓ right", "right");
    else if (label !== null) add(`✗ wrong: ${nameOf(label)}`, "wrong");
  } else if (data.task === "regression" && label !== null) addStrong("true ", shown(label, 4));
  const what = explained(b);
  if (!hasBars || what.replace(" (predicted)", "") !== nameOf(predicted)) addStrong("explained ", what);
  const button = element("button", { type: "button", textContent: "CSV", title: "Copy as CSV", data: { key: "copy" } });
  line.append(labelled(button, { "aria-label": `Copy ${isText ? "text" : "series"} ${b + 1} as CSV` }));
  return line;
}

/** score = words + initial states + kept by biases. */
function sumLine(b) {
  const { started, arrived, initial, rest, others } = sums(b);
  const { source, inputs, rest: restIs, shares } = method();
  const line = element("p", { className: "sum" });
  const add = (text, number) => line.append(text, " ", element("b", { textContent: number }));
  if (!shares) {
    const [all, states] = addable([arrived, initial]);
    add(`sum of ${inputs}`, all);
    add(", initial states", states);
    line.append(` (${restIs})`);
    return line;
  }
  const [total, all, ...parts] = addable([started, arrived, initial, rest]);
  add(isByStep() ? "score" : chosen(b)[1] === null ? source : `difference of ${source}s`, total);
  add(` = ${inputs}`, all);
  for (const [n, text] of ["initial states", restIs].entries()) {
    add(` ${parts[n].startsWith(MINUS) ? MINUS : "+"} ${text}`, parts[n].replace(MINUS, ""));
  }
  others.forEach((sum, n) => line.append(`${n ? "," : " · of that"} ${method().others[n]} ${signed(sum)}`));
  if (value("scale", "each") === "each") line.append(` · full colour ${shown(scale(b))}`);
  return line;
}

// Scores ------------------------------------------------------------------------------------------

const MOST_BARS = 12;
const hasBars = !data.everyStep && data.outputs.length > 1;

/** A bar for each score; with an explanation for each class, a button that chooses it. */
function scores(b) {
  let outputs = data.outputs.map((_, k) => k);
  const [k, against] = data.rows > 1 ? chosen(b) : [data.predicted?.[b] ?? 0, null];
  if (outputs.length > MOST_BARS) {
    outputs.sort((i, j) => score(b, j) - score(b, i));
    outputs = [...new Set([...outputs.slice(0, MOST_BARS - 1), k])];
  }
  const [low, high] = scoreRange(b);
  const zero = (100 * -low) / (high - low || 1);
  const texts = addable(outputs.map((output) => score(b, output)));
  const bars = outputs.map((output, n) => {
    const s = score(b, output);
    const length = (100 * Math.abs(s)) / (high - low || 1);
    const bar = element("i", { style: { left: `${s < 0 ? zero - length : zero}%`, width: `${length}%` } });
    const made = element(
      data.rows > 1 ? "button" : "div",
      { className: `score ${output === against ? "against" : ""}`, data: { key: `score-${output}`, k: output } },
      element("span", { textContent: nameOf(output), title: nameOf(output) }),
      element("span", { className: "track", style: { "--zero": `${zero}%` } }, bar),
      element("span", { textContent: texts[n] }),
    );
    if (data.rows === 1) return made;
    const label = `explain ${nameOf(output)}, score ${texts[n]}`;
    return labelled(made, { type: "button", "aria-pressed": output === k, "aria-label": label });
  });
  return labelled(element("div", { className: "scores" }, ...bars), { role: "group", "aria-label": "scores" });
}

let range = null; // of all

/** The smallest and largest score of a sequence, or of all, with 0 between them. */
function scoreRange(b) {
  const own = numbers(data, "scores").subarray(C * b, C * (b + 1));
  const [low, high] = value("scale", "each") === "each" ? extent(own) : (range ??= extent(numbers(data, "scores")));
  const most = Math.max(-low, high);
  return data.binary ? [-most, most] : [Math.min(0, low), Math.max(0, high)];
}

// Texts -------------------------------------------------------------------------------------------

// A break before what closes, or after what opens, would leave it alone on a line.
const CLOSING = /^([\p{Pe}\p{Pf}.,;:!?…%'’]|n['’]t$|-r[rsc]b-$)/iu;
const OPENING = /^([\p{Ps}\p{Pi}`$#]+|-l[rsc]b-)$/iu;

function words(b) {
  const pieces = data.texts[b];
  const values = relevance(b);
  const full = scale(b);
  const unknown = new Set(data.unknown[b]);
  const hasNotes = $("numbers").checked || (data.everyStep && data.predicted !== null);
  const text = element("p", { className: hasNotes ? "text noted" : "text", data: { key: "text" } });
  const label = `text ${b + 1}, word by word with the arrow keys`;
  labelled(text, { dir: "auto", tabindex: 0, role: "group", "aria-label": label });
  for (let t = 0; t < data.lengths[b]; t++) {
    const [gap, word] = [pieces[2 * t], pieces[2 * t + 1]];
    const glued = gap === " " && t > 0 && (CLOSING.test(word) || OPENING.test(pieces[2 * t - 1]));
    const className = `word s${level(values[t] / full)}`;
    const span = element(hasNotes ? "ruby" : "span", { className, textContent: word, data: { t } });
    if (unknown.has(t)) span.classList.add("unknown");
    if (isByStep() && t === chosenStep(b)) span.classList.add("chosen");
    const below = [];
    if (data.everyStep && data.predicted) below.push(data.predicted[b][t] < 0 ? "" : nameOf(data.predicted[b][t]));
    if ($("numbers").checked) below.push(signed(values[t], 2));
    if (below.length) span.append(element("rt", { textContent: below.join(" ") }));
    text.append(glued ? "\u00a0" : gap, span);
  }
  text.append(pieces.at(-1));
  return text;
}

// Series ------------------------------------------------------------------------------------------

const views = new Map(); // what is shown of a series: its steps from, to; and the step pointed at

function view(b) {
  if (!views.has(b)) views.set(b, { from: 0, to: data.lengths[b], cursor: null });
  return views.get(b);
}

/** Which variable a strip is of; null for all together. */
const variableOf = (canvas) => (canvas.dataset.d === "" ? null : Number(canvas.dataset.d));

const stepName = (b, t) => (data.stepsOf[b] === null ? `t=${t}` : data.steps[data.stepsOf[b]][t]);
const variableName = (d) => data.variables?.[d] ?? (D > 1 ? `variable ${d}` : "all variables");

/** Relevance of a variable at each step; of all together where d is null. */
function ofVariable(values, d, T) {
  return Float32Array.from({ length: T }, (_, t) =>
    d === null ? values.subarray(t * D, (t + 1) * D).reduce((sum, x) => sum + x, 0) : values[t * D + d],
  );
}

/** The smallest and largest number, in words; what is nothing beside the other is 0. */
function limits(series) {
  const [low, high] = extent(series);
  return [low, high].map((x) => shown(Math.abs(x) < 1e-4 * (high - low) ? 0 : x)).join(" to ");
}

const MOST_VARIABLES = 12;
const opened = new Set(); // series of which all variables are shown

function strips(b) {
  const T = data.lengths[b];
  const values = relevance(b);
  const made = element("div", { className: "strips" });
  const variables = Array.from({ length: D }, (_, d) => {
    const cells = ofVariable(values, d, T);
    return { d, size: cells.reduce((sum, x) => sum + Math.abs(x), 0), sum: cells.reduce((sum, x) => sum + x, 0) };
  });
  if (value("variables", "given") === "relevance") variables.sort((one, other) => other.size - one.size);
  const total = { d: null, sum: values.reduce((sum, x) => sum + x, 0) };
  const listed = D > 1 ? [total, ...variables] : variables;
  const few = opened.has(b) ? listed : listed.slice(0, MOST_VARIABLES + 1);
  made.append(element("div", { className: "cursor", hidden: true }));
  for (const { d, sum } of few) {
    const title = d === null ? "all together" : variableName(d);
    const className = d === null ? "strip total" : "strip";
    const canvas = element("canvas", { className, tabIndex: 0, data: { d: d ?? "", key: `strip-${d}` } });
    const now = view(b).cursor ?? 0;
    labelled(canvas, { role: "slider", "aria-label": title });
    labelled(canvas, { "aria-valuemin": 0, "aria-valuemax": T - 1, "aria-valuenow": now });
    const notes = [element("small", { textContent: `relevance ${signed(sum)}` })];
    const series = d === null ? null : seriesOf(b, d);
    if (series) notes.push(element("small", { textContent: limits(series) }));
    made.append(element("div", { className: "name", title }, title, ...notes), canvas);
  }
  made.append(element("span", { className: "corner" }), element("div", { className: "axis" }));
  if (few.length < listed.length) {
    const textContent = `Show all ${D} variables`;
    const button = element("button", { type: "button", textContent, data: { key: "open" } });
    made.append(element("span", { className: "corner" }), button);
  }
  if (T > 8) made.append(element("span", { className: "corner" }), zoomControls(b));
  return made;
}

function zoomControls(b) {
  const kinds = [
    ["closer", "+", "look closer"],
    ["further", MINUS, "look from further away"],
    ["all", "All", "show all steps"],
  ];
  const buttons = kinds.map(([zoom, textContent, label]) => {
    const button = element("button", { type: "button", textContent, data: { key: `zoom-${zoom}`, zoom } });
    return labelled(button, { "aria-label": label });
  });
  const pan = element("input", { type: "range", min: 0, data: { key: "pan" } });
  labelled(pan, { "aria-label": "first step shown" });
  return element("div", { className: "zoom" }, ...buttons, pan, element("span", { className: "extent" }));
}

/** Draw all that depends on the view of a series, which stands in its row already. */
function drawStrips(b) {
  const row = rows[b];
  const { from, to } = view(b);
  const T = data.lengths[b];
  const values = relevance(b);
  const full = scale(b);
  for (const canvas of row.querySelectorAll("canvas")) {
    const d = variableOf(canvas);
    const cells = ofVariable(values, d, T);
    const series = d === null ? null : seriesOf(b, d);
    drawStrip(canvas, cells, series, { from, to, full: d === null ? largest(cells) : full });
  }
  drawAxis(row.querySelector(".axis"), b);
  drawCursor(b);
  const pan = row.querySelector(".zoom input");
  if (!pan) return;
  pan.max = T - (to - from);
  pan.value = from;
  pan.disabled = to - from === T;
  row.querySelector(".extent").textContent = `${stepName(b, from)} to ${stepName(b, to - 1)}`;
}

/** The numbers of a variable, or null where they are not known. */
function seriesOf(b, d) {
  if (!data.values) return null;
  const all = numbers(data, "values").subarray(D * offsets[b], D * offsets[b + 1]);
  return ofVariable(all, d, data.lengths[b]);
}

/** Draw a line across all strips at the step that is pointed at. */
function drawCursor(b) {
  const { from, to, cursor } = view(b);
  const strips = [...rows[b].querySelectorAll("canvas")];
  const line = rows[b].querySelector(".cursor");
  line.hidden = cursor === null || cursor < from || cursor >= to;
  if (line.hidden) return;
  const [first, last] = [strips[0], strips.at(-1)];
  line.style.left = `${first.offsetLeft + ((cursor - from + 0.5) * first.offsetWidth) / (to - from)}px`;
  line.style.top = `${first.offsetTop}px`;
  line.style.height = `${last.offsetTop + last.offsetHeight - first.offsetTop}px`;
}

/** Draw relevance as colours, and the series over it as a line. */
function drawStrip(canvas, cells, series, { from, to, full }) {
  const box = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.max(1, Math.round(box.width * ratio)), Math.max(1, Math.round(box.height * ratio))];
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const colours = palette[theme()];
  const count = to - from;
  const columns = Math.min(count, width);
  for (let column = 0; column < columns; column++) {
    const first = from + Math.floor((column * count) / columns);
    const last = from + Math.floor(((column + 1) * count) / columns);
    let strongest = 0; // of the steps that share a column
    for (let t = first; t < last; t++) if (Math.abs(cells[t]) > Math.abs(strongest)) strongest = cells[t];
    const x = Math.floor((column * width) / columns);
    context.fillStyle = colours[level(strongest / full)].background;
    context.fillRect(x, 0, Math.floor(((column + 1) * width) / columns) - x, height);
  }
  const style = getComputedStyle(document.documentElement);
  const inPage = ["--paper", "--ink", "--line"].map((name) => style.getPropertyValue(name));
  const [paper, line, edge] = printing ? ["#fff", "#17181a", "#dcdde0"] : inPage;
  const at = (t) => ((t - from + 0.5) * width) / count;
  if (series) {
    const [low, high] = extent(series);
    const room = height - 8 * ratio;
    const y = (x) => 4 * ratio + room * (high > low ? (high - x) / (high - low) : 0.5);
    const path = new Path2D();
    for (let t = Math.max(0, from - 1); t < Math.min(to + 1, series.length); t++) path.lineTo(at(t), y(series[t]));
    context.lineJoin = "round";
    // Where many steps share a column, a lighter line leaves something of the colours to see.
    const strokes = count > width / 2 ? [[line, 1, 0.6]] : [[paper, 4, 0.75], [line, 1.5, 1]];
    for (const [colour, thickness, alpha] of strokes) {
      Object.assign(context, { strokeStyle: colour, lineWidth: thickness * ratio, globalAlpha: alpha });
      context.stroke(path);
    }
  }
  context.globalAlpha = 1;
  context.strokeStyle = edge;
  context.lineWidth = ratio;
  context.strokeRect(ratio / 2, ratio / 2, width - ratio, height - ratio);
}

// Ticks of dates stand at every so many minutes, hours, days, months or years: each by the length that dates up to
// it have, and how many.
const PERIODS = [
  ...[1, 10].map((n) => [16, n]),
  ...[1, 3, 6, 12].map((n) => [13, n]),
  ...[1, 2, 7].map((n) => [10, n]),
  ...[1, 2, 3, 6].map((n) => [7, n]),
  ...[1, 2, 5, 10].map((n) => [4, n]),
];
const COUNTS = [0, 1, 2, 3, 4, 5, 6].flatMap((power) => [1, 2, 5].map((n) => n * 10 ** power));

/** Steps and their labels for an axis: at most so many. */
function ticks(b, from, to, most) {
  const steps = Array.from({ length: to - from }, (_, n) => from + n);
  if (/^\d{4}-\d\d(-\d\d|$)/.test(stepName(b, from))) {
    for (const [length, nth] of PERIODS) {
      const begins = steps.filter((t) => {
        const text = stepName(b, t).slice(0, length);
        const unit = Number(text.slice(-2)) - (length === 7 || length === 10 ? 1 : 0);
        return unit % nth === 0 && t > 0 && text !== stepName(b, t - 1).slice(0, length);
      });
      if (begins.length > 1 && begins.length <= most) return begins.map((t) => [t, stepName(b, t).slice(0, length)]);
    }
  }
  const nth = COUNTS.find((n) => steps.length / n <= most) ?? steps.length;
  return steps.filter((t) => t % nth === 0).map((t) => [t, stepName(b, t)]);
}

function drawAxis(axis, b) {
  const { from, to } = view(b);
  const longest = Math.max(stepName(b, from).length, stepName(b, to - 1).length);
  const most = Math.max(1, Math.floor(axis.clientWidth / (6 * longest + 24)));
  const made = ticks(b, from, to, most).map(([t, textContent]) =>
    element("span", { textContent, style: { left: `${(100 * (t - from)) / (to - from)}%` } }),
  );
  axis.replaceChildren(...made);
  for (const tick of made) tick.hidden = tick.offsetLeft + tick.offsetWidth > axis.clientWidth;
}

/** Show the steps from one on, so many; what does not fit is moved. */
function show(b, from, count) {
  const T = data.lengths[b];
  const shownSteps = Math.round(Math.min(T, Math.max(Math.min(T, 5), count)));
  const first = Math.round(Math.min(T - shownSteps, Math.max(0, from)));
  Object.assign(view(b), { from: first, to: first + shownSteps });
  drawStrips(b);
}

function zoom(b, how) {
  const { from, to, cursor } = view(b);
  const count = { closer: (to - from) / 2, further: 2 * (to - from), all: data.lengths[b] }[how];
  const middle = cursor !== null && cursor >= from && cursor < to ? cursor + 0.5 : (from + to) / 2;
  show(b, middle - ((middle - from) / (to - from)) * count, count);
}

function stepText(b, d, t) {
  const number = ofVariable(relevance(b), d, data.lengths[b])[t];
  const series = d === null ? null : seriesOf(b, d);
  return `${stepName(b, t)}: ${series ? `value ${shown(series[t], 4)}, ` : ""}relevance ${signed(number, 4)}`;
}

// The number of a word, or step -------------------------------------------------------------------

const tip = $("tip");

function showTip(content, box) {
  tip.replaceChildren(...content);
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const room = document.documentElement.clientWidth - width - 8;
  const left = Math.max(8, Math.min(box.left + box.width / 2 - width / 2, room));
  const above = box.top - height - 8;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 0 ? above : box.bottom + 8}px`;
}

function hideTip() {
  tip.hidden = true;
  document.querySelector(".word.current")?.classList.remove("current");
}

/** Show the number of a word, and that of each class. */
function pointAtWord(word) {
  const b = sequenceAt(word);
  const t = Number(word.dataset.t);
  const number = signed(relevance(b)[t], 4);
  const text = data.texts[b][2 * t + 1];
  const shownWord = element("bdi", { textContent: text });
  const content = [element("p", { dir: "auto" }, shownWord, " ", element("b", { textContent: number }))];
  if (word.classList.contains("unknown")) content.push(element("p", { textContent: "not in the vocabulary" }));
  if (data.rows > 1 && data.rows <= MOST_BARS && !isByStep()) {
    const [k] = chosen(b);
    const texts = addable(data.outputs.map((_, other) => relevance(b, [other, null])[t]));
    const classes = data.outputs.map((output, other) => {
      const cells = [output, texts[other]].map((textContent) => element("td", { textContent }));
      return element("tr", { className: other === k ? "chosen" : "" }, ...cells);
    });
    content.push(element("table", {}, ...classes));
  }
  showTip(content, word.getClientRects()[0]);
  return `${text}: ${number}`;
}

/** Show the number of a step of a series, where the pointer is. */
function pointAtStep(canvas, t) {
  const b = sequenceAt(canvas);
  const d = variableOf(canvas);
  const { from, to } = view(b);
  view(b).cursor = t;
  drawCursor(b);
  const text = stepText(b, d, t);
  labelled(canvas, { "aria-valuenow": t, "aria-valuetext": text });
  const box = canvas.getBoundingClientRect();
  const left = box.left + ((t - from + 0.5) * box.width) / (to - from);
  const title = element("p", {}, element("b", { textContent: canvas.getAttribute("aria-label") }));
  const place = { left, width: 0, top: box.top, bottom: box.bottom };
  showTip([title, element("p", { textContent: text })], place);
}

function stepAt(canvas, x) {
  const { from, to } = view(sequenceAt(canvas));
  const box = canvas.getBoundingClientRect();
  return Math.max(from, Math.min(to - 1, from + Math.floor(((x - box.left) * (to - from)) / box.width)));
}

function say(text) {
  $("said").textContent = text;
}

// Tables ------------------------------------------------------------------------------------------

const quoted = (x) => (/[",\r\n]/.test(x) ? `"${String(x).replaceAll('"', '""')}"` : String(x));
const rounded = (x) => String(Number(x.toPrecision(4)));

/** What is shown of some sequences, as CSV. */
function csv(sequences) {
  const header = isText ? ["token"] : data.values ? ["label", "variable", "value"] : ["label", "variable"];
  const lines = [["sequence", "step", ...header, "method", "explained", "relevance"]];
  for (const b of sequences) {
    const values = relevance(b);
    const about = [method().name, explained(b)];
    const series = data.values ? numbers(data, "values").subarray(D * offsets[b]) : null;
    for (let t = 0; t < data.lengths[b]; t++) {
      for (let d = 0; d < D; d++) {
        const what = isText ? [data.texts[b][2 * t + 1]] : [stepName(b, t), variableName(d)];
        if (series) what.push(rounded(series[t * D + d]));
        lines.push([b, t, ...what, ...about, rounded(values[t * D + d])]);
      }
    }
  }
  return lines.map((line) => line.map(quoted).join(",")).join("\r\n") + "\r\n";
}

async function copy(sequences) {
  const text = csv(sequences);
  try {
    await navigator.clipboard.writeText(text);
  } catch { // a page that was not loaded safely may only copy what is selected
    const field = element("textarea", { value: text });
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  say(`Copied ${sequences.length} of ${B} as CSV.`);
}

function save(sequences) {
  const url = URL.createObjectURL(new Blob([csv(sequences)], { type: "text/csv" }));
  element("a", { href: url, download: "relevance.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// Order, filter, redrawing ------------------------------------------------------------------------

let version = 0;
let order = [];
const near = new Set(); // rows that are in view, or nearly

const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const b = Number(target.dataset.b);
      if (!isIntersecting) near.delete(b);
      else {
        near.add(b);
        draw(b);
      }
    }
  },
  { rootMargin: "600px 0px" },
);

function passes(b) {
  const search = value("search", "").trim().toLowerCase();
  if (search && !searchable(b).includes(search)) return false;
  const wanted = value("class", "");
  if (wanted !== "" && data.predicted[b] !== Number(wanted)) return false;
  const verdict = value("verdict", "");
  const judged = data.labels?.[b] === data.predicted?.[b] ? "right" : "wrong";
  if (verdict && (data.labels[b] === null || judged !== verdict)) return false;
  const least = Number(value("delta", 0));
  return !least || !method().shares || Math.abs(sums(b).rest) >= least;
}

const searched = [];
function searchable(b) {
  return (searched[b] ??= (isText ? plain(b) : `${plain(b)} ${stepName(b, 0)}`).toLowerCase());
}

// Larger numbers come first.
const KEYS = {
  score: (b) => sums(b).started,
  delta: (b) => Math.abs(sums(b).rest),
  largest: (b) => largest(relevance(b)),
  length: (b) => data.lengths[b],
};

/** Show what the controls say. */
function update() {
  version++;
  shared = null;
  const sequences = data.lengths.map((_, b) => b).filter(passes);
  const sort = value("sort", "given");
  if (sort === "text") sequences.sort((one, other) => plain(one).localeCompare(plain(other)));
  else if (sort !== "given") {
    const key = new Map(sequences.map((b) => [b, KEYS[sort](b)]));
    sequences.sort((one, other) => key.get(other) - key.get(one) || one - other);
  }
  if (sequences.join() !== order.join()) {
    order = sequences;
    near.clear();
    observer.disconnect();
    $("rows").replaceChildren(...order.map((b) => rows[b]));
    for (const b of order) observer.observe(rows[b]);
  }
  hideTip();
  for (const b of near) draw(b);
  const [some, all] = [order.length, B].map((count) => count.toLocaleString("en"));
  $("shown").textContent = `${some === all ? "all" : `${some} of`} ${all} ${isText ? "texts" : "series"}`;
  if ($("contrast")) $("contrast").hidden = !method().shares || isByStep();
  if ($("deltas")) $("deltas").hidden = !method().shares;
  document.body.classList.toggle("by-step", isByStep());
  drawLegend();
  drawOverview();
}

// Over all that is shown --------------------------------------------------------------------------

const MOST_LISTED = 10;

/** Words, or variables, by their mean relevance in all sequences that are shown. */
function drawOverview() {
  const overview = $("overview");
  if (!overview?.open) return;
  const entries = isText ? meansOfWords() : meansOfVariables();
  const largestMean = largest(entries.map((entry) => entry.mean));
  const [against, favour] = method().ends;
  const lists = [
    [favour, entries.filter((entry) => entry.mean > 0)],
    [against, entries.filter((entry) => entry.mean < 0)],
  ];
  const made = lists.filter(([title]) => title).map(([title, those]) => {
    those.sort((one, other) => Math.abs(other.mean) - Math.abs(one.mean));
    const listed = those.slice(0, MOST_LISTED);
    const texts = addable(listed.map((entry) => entry.mean));
    const items = listed.map((entry, n) => overviewItem(entry, texts[n], largestMean));
    const heading = element("h2", { textContent: `On average ${title}` });
    return element("div", {}, heading, items.length ? element("ol", {}, ...items) : "none");
  });
  overview.querySelector(".overview").replaceChildren(...made);
}

function overviewItem({ text, mean, count }, number, largestMean) {
  const width = `${(100 * Math.abs(mean)) / largestMean}%`;
  const title = element(isText ? "button" : "span", { textContent: text, data: isText ? { search: text } : {} });
  const bar = element("span", { className: `bar-of s${level(Math.sign(mean))}`, style: { width } });
  const often = element("span", { textContent: isText ? `${count.toLocaleString("en")} ×` : "" });
  return element("li", {}, title, bar, element("span", { textContent: number }), often);
}

/** The mean relevance of each word that is there more than once, if any is. */
function meansOfWords() {
  const found = new Map();
  for (const b of order) {
    const values = relevance(b);
    for (let t = 0; t < data.lengths[b]; t++) {
      const text = data.texts[b][2 * t + 1].toLowerCase();
      const entry = found.get(text) ?? { text, sum: 0, count: 0 };
      entry.sum += values[t];
      entry.count++;
      found.set(text, entry);
    }
  }
  const all = [...found.values()].map((entry) => ({ ...entry, mean: entry.sum / entry.count }));
  const repeated = all.filter((entry) => entry.count > 1);
  return repeated.length ? repeated : all;
}

/** The mean relevance of each variable: summed over the steps of a series. */
function meansOfVariables() {
  const sumsOf = new Float64Array(D);
  for (const b of order) relevance(b).forEach((x, i) => (sumsOf[i % D] += x));
  return Array.from(sumsOf, (sum, d) => ({ text: variableName(d), mean: sum / Math.max(1, order.length) }));
}

function drawLegend() {
  const [against, favour] = method().ends;
  const start = against ? 0 : LEVELS;
  const stops = palette[theme()].slice(start).filter((_, n) => n % 4 === 0).map((shade) => shade.background);
  const background = `linear-gradient(90deg, ${stops.join(",")})`;
  const ramp = element("span", { className: "ramp", style: { background } });
  const isShared = value("scale", "each") === "all" || B === 1;
  const full = isShared && B ? scale(0) : null;
  const [low, high] = full === null ? ["", ""] : [against ? ` ${signed(-full)}` : " 0", `${signed(full)} `];
  $("legend").replaceChildren(`${against}${low}`, ramp, `${high}${favour}`);
  labelled($("legend"), { "aria-label": `Colours: from ${against || "nothing"}${low} to ${high}${favour}` });
}

function summarize() {
  const count = `${B.toLocaleString("en")} ${isText ? (B === 1 ? "text" : "texts") : "series"}`;
  const labels = hasClasses ? (data.labels ?? []) : [];
  const judged = labels.filter((label) => label !== null).length;
  const right = labels.filter((label, b) => label === data.predicted[b]).length;
  const share = `${Math.round((100 * right) / judged)}\u00a0%`;
  const parts = [count, data.methods.map((one) => one.name).join(", ")];
  if (judged) parts.push(`${right} of ${judged} predicted right (${share})`);
  $("summary").textContent = parts.join(" · ");
}

// Events ------------------------------------------------------------------------------------------

const list = $("rows");
const sequenceAt = (target) => Number(target.closest(".row").dataset.b);

/** Explain what a word, or a step of a series, is predicted as. */
function choose(b, t) {
  if (!isByStep()) return;
  chosenSteps.set(b, t);
  rows[b].version = -1;
  draw(b);
}

list.addEventListener("click", (event) => {
  const word = event.target.closest(".word");
  if (word) choose(sequenceAt(word), Number(word.dataset.t));
  const button = event.target.closest("button");
  if (!button) return;
  const b = sequenceAt(button);
  if (button.dataset.key === "copy") copy([b]);
  else if (button.dataset.k !== undefined) {
    $("target").value = button.dataset.k;
    update();
  } else if (button.dataset.zoom) zoom(b, button.dataset.zoom);
  else if (button.dataset.key === "open") {
    opened.add(b);
    rows[b].version = -1;
    draw(b);
  }
});

list.addEventListener("input", (event) => {
  if (event.target.dataset.key !== "pan") return;
  const b = sequenceAt(event.target);
  show(b, Number(event.target.value), view(b).to - view(b).from);
});

let dragged = null; // where a drag across steps began

list.addEventListener("pointerdown", (event) => {
  const word = event.target.closest(".word");
  if (word) pointAtWord(word);
  if (event.target.tagName === "CANVAS") {
    const t = stepAt(event.target, event.clientX);
    pointAtStep(event.target, t);
    if (event.pointerType === "mouse") dragged = { canvas: event.target, t };
  }
});

list.addEventListener("pointerup", (event) => {
  if (!dragged) return;
  const { canvas, t } = dragged;
  dragged = null;
  const other = stepAt(canvas, event.clientX);
  if (Math.abs(other - t) > 1) show(sequenceAt(canvas), Math.min(t, other), Math.abs(other - t) + 1);
});

list.addEventListener("click", (event) => {
  if (event.target.tagName === "CANVAS") choose(sequenceAt(event.target), stepAt(event.target, event.clientX));
});

list.addEventListener("dblclick", (event) => {
  if (event.target.tagName === "CANVAS") zoom(sequenceAt(event.target), "all");
});

list.addEventListener("pointermove", (event) => {
  if (event.pointerType === "touch") return;
  const word = event.target.closest?.(".word");
  if (word) pointAtWord(word);
  else if (event.target.tagName === "CANVAS") pointAtStep(event.target, stepAt(event.target, event.clientX));
});

list.addEventListener("pointerout", (event) => {
  if (event.pointerType !== "touch" && event.target.matches(".word, canvas")) hideTip();
});

document.addEventListener("pointerdown", (event) => {
  if (!event.target.closest(".word, canvas")) hideTip();
});

list.addEventListener("focusout", hideTip);

list.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideTip();
  if (event.target.matches(".text")) moveWord(event);
  if (event.target.tagName === "CANVAS") moveStep(event);
});

function moveWord(event) {
  const all = [...event.target.querySelectorAll(".word")];
  const now = all.findIndex((word) => word.classList.contains("current"));
  if (event.key === "Enter" && now >= 0) choose(sequenceAt(event.target), now);
  const forward = getComputedStyle(event.target).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
  const backward = forward === "ArrowLeft" ? "ArrowRight" : "ArrowLeft";
  const before = now < 0 ? all.length - 1 : now - 1;
  const to = { [forward]: now + 1, [backward]: before, Home: 0, End: all.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const word = all[Math.max(0, Math.min(all.length - 1, to))];
  hideTip();
  word.classList.add("current");
  word.scrollIntoView({ block: "nearest" });
  say(pointAtWord(word));
}

function moveStep(event) {
  const b = sequenceAt(event.target);
  const { from, to, cursor } = view(b);
  const how = { "+": "closer", "=": "closer", "-": "further", Escape: "all", 0: "all" }[event.key];
  if (how) zoom(b, how);
  const now = cursor ?? from;
  if (event.key === "Enter") choose(b, now);
  const leap = Math.ceil((to - from) / 10);
  const wanted = {
    ArrowRight: now + 1, ArrowUp: now + 1, ArrowLeft: now - 1, ArrowDown: now - 1,
    PageUp: now + leap, PageDown: now - leap, Home: 0, End: data.lengths[b] - 1,
  }[event.key];
  if (how || wanted !== undefined) event.preventDefault();
  if (wanted === undefined) return;
  const t = Math.max(0, Math.min(data.lengths[b] - 1, wanted));
  if (t < from || t >= to) show(b, t < from ? t : t - (to - from) + 1, to - from);
  pointAtStep(event.target, t);
}

for (const id of ["target", "against", "method", "class", "verdict", "sort", "scale", "variables", "numbers"]) {
  $(id)?.addEventListener("change", update);
}
for (const id of ["search", "delta"]) $(id)?.addEventListener("input", update);
$("copy").addEventListener("click", () => copy(order));
$("save").addEventListener("click", () => save(order));

$("overview")?.addEventListener("toggle", drawOverview);
$("overview")?.addEventListener("click", (event) => {
  const { search } = event.target.dataset;
  if (search === undefined) return;
  $("search").value = search;
  update();
});

const system = matchMedia("(prefers-color-scheme: dark)");
function follow() {
  const wanted = $("theme").value;
  document.documentElement.dataset.theme = wanted === "auto" ? (system.matches ? "dark" : "light") : wanted;
  update();
}
$("theme").addEventListener("change", follow);
system.addEventListener("change", follow);
for (const kind of ["wheel", "touchmove"]) window.addEventListener(kind, hideTip, { passive: true });

let width = window.innerWidth;
window.addEventListener("resize", () => {
  if (!isText && window.innerWidth !== width) update(); // strips have as many pixels as they are wide
  width = window.innerWidth;
});

// Paper has room for all, and is light.
window.addEventListener("beforeprint", () => {
  printing = true;
  for (const b of order) draw(b);
  drawLegend();
});
window.addEventListener("afterprint", () => {
  printing = false;
  update();
});

document.body.classList.add(`${data.kind}-page`);
if (window.innerWidth < 640) document.querySelector(".tools")?.removeAttribute("open");
summarize();
follow();
