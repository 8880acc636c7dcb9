// What the page of a report does: it draws explanations as they come into view, and follows its controls.
//
// explanations.js and series.js stand before this in one script. Text gets into the page as textContent only.

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
    if (verdictOn(b) === "right") add("✓ right", "right");
    if (verdictOn(b) === "wrong") add(`✗ wrong: ${nameOf(label)}`, "wrong");
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
  const { source, inputs, rest: restIs, shares, ends } = method();
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
  const ofStep = data.task === "regression" ? "output" : "score";
  add(isByStep() ? ofStep : chosen(b)[1] === null ? source : "difference", total);
  add(` = ${inputs}`, all);
  for (const [n, text] of ["initial states", restIs].entries()) {
    add(` ${parts[n].startsWith(MINUS) ? MINUS : "+"} ${text}`, parts[n].replace(MINUS, ""));
  }
  others.forEach((sum, n) => line.append(`${n ? "," : " · of that"} ${method().others[n]} ${signed(sum)}`));
  if (value("scale", "each") === "each") line.append(` · full colour at ${ends[0] && "±"}${shown(scale(b))}`);
  return line;
}

// Scores ------------------------------------------------------------------------------------------

const MOST_BARS = 12;
const hasBars = !data.everyStep && data.outputs.length > 1;

/** A bar for each score; with an explanation for each class, a button that chooses it. */
function scores(b) {
  let outputs = data.outputs.map((_, k) => k);
  const ofOne = data.outputs.indexOf(explained(b).replace(" (predicted)", ""));
  const [k, against] = data.rows > 1 ? chosen(b) : [ofOne, null];
  if (outputs.length > MOST_BARS) {
    outputs.sort((i, j) => score(b, j) - score(b, i));
    outputs = [...new Set([...outputs.slice(0, MOST_BARS - 1), ...(k < 0 ? [] : [k])])];
  }
  const [low, high] = scoreRange(b);
  const zero = (100 * -low) / (high - low || 1);
  const texts = addable(outputs.map((output) => score(b, output)));
  const bars = outputs.map((output, n) => {
    const s = score(b, output);
    const length = (100 * Math.abs(s)) / (high - low || 1);
    const bar = element("i", { style: { left: `${s < 0 ? zero - length : zero}%`, width: `${length}%` } });
    const role = output === k ? "chosen" : output === against ? "against" : "";
    const made = element(
      data.rows > 1 ? "button" : "div",
      { className: `score ${role}`, data: { key: `score-${output}`, k: output } },
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

const LONGEST_RUBY = 24;

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
    // A ruby stays in one piece, for which a very long word has no room.
    const isRuby = hasNotes && word.length <= LONGEST_RUBY;
    const span = element(isRuby ? "ruby" : "span", { className, textContent: word, data: { t } });
    if (unknown.has(t)) span.classList.add("unknown");
    if (isByStep() && t === chosenStep(b)) span.classList.add("chosen");
    const below = [];
    if (data.everyStep && data.predicted) below.push(data.predicted[b][t] < 0 ? "" : nameOf(data.predicted[b][t]));
    if ($("numbers").checked) below.push(signed(values[t], 2));
    if (below.length) span.append(element(isRuby ? "rt" : "sub", { textContent: below.join(" ") }));
    text.append(glued ? "\u00a0" : gap, span);
  }
  text.append(pieces.at(-1));
  return text;
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

/** Whether the prediction of a sequence is right; null where nobody knows. */
function verdictOn(b) {
  const label = data.labels?.[b] ?? null;
  if (label === null) return null;
  return label === data.predicted[b] ? "right" : "wrong";
}

function passes(b) {
  const search = value("search", "").trim().toLowerCase();
  if (search && !searchable(b).includes(search)) return false;
  const wanted = value("class", "");
  if (wanted !== "" && data.predicted[b] !== Number(wanted)) return false;
  const verdict = value("verdict", "");
  if (verdict && verdictOn(b) !== verdict) return false;
  const least = Number(value("delta", 0));
  return !least || !method().shares || Math.abs(sums(b).rest) >= least;
}

const searched = [];
function searchable(b) {
  return (searched[b] ??= (isText ? plain(b) : `${plain(b)} ${stepName(b, 0)}`).toLowerCase());
}

// Larger numbers come first.
const KEYS = {
  class: (b) => -data.predicted[b],
  verdict: (b) => [null, "right", "wrong"].indexOf(verdictOn(b)),
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
  const count = some === all ? `all ${all}` : `${some} of ${all}`;
  $("shown").textContent = B === 1 ? "" : `${count} ${isText ? "texts" : "series"}`;
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
