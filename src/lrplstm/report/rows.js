// A row for each sequence: its words or strips, the sum, and bars of scores, drawn as it comes into view.
//
// Text gets into the page as textContent only.

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

const list = $("rows");
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
  const focused = row.contains(root.activeElement) ? root.activeElement.dataset.key : null;
  row.classList.remove("waiting");
  const main = element("div", {}, facts(b), isText ? words(b) : strips(b), ...otherInputs(b), sumLine(b));
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
  if (B > 1 || (!isText && data.names[b])) add(isText ? String(b + 1) : plain(b));
  if (hasClasses && data.outputs.length > 1) {
    addStrong("predicted ", nameOf(predicted));
    if (verdictOn(b) === "right") add("✓ right", "right");
    if (verdictOn(b) === "wrong") add(`✗ wrong: ${nameOf(label)}`, "wrong");
  } else if (data.task === "regression" && label !== null) addStrong("true ", shown(label, 4));
  const what = explained(b);
  if (!hasBars || what.replace(" (predicted)", "") !== nameOf(predicted)) addStrong("explained ", what);
  if ($("copy")) line.append(copyButton(b));
  return line;
}

/** Whether the prediction of a sequence is right; null where nobody knows. */
function verdictOn(b) {
  const label = data.labels?.[b] ?? null;
  if (label === null) return null;
  return label === data.predicted[b] ? "right" : "wrong";
}

function copyButton(b) {
  const button = element("button", { type: "button", textContent: "CSV", title: "Copy as CSV", data: { key: "copy" } });
  return labelled(button, { "aria-label": `Copy ${isText ? "text" : "series"} ${b + 1} as CSV` });
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
  others.forEach((sum, n) => line.append(`${n ? "," : " · of that"} ${data.others[n].name} ${signed(sum)}`));
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
  const hasNumbers = $("numbers").checked;
  const hasNotes = hasNumbers || (data.everyStep && data.predicted !== null);
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
    if (hasNumbers) below.push(signed(values[t], 2));
    if (below.length) span.append(element(isRuby ? "rt" : "sub", { textContent: below.join(" ") }));
    text.append(glued ? "\u00a0" : gap, span);
  }
  text.append(pieces.at(-1));
  return text;
}

// Further inputs -----------------------------------------------------------------------------------

const MOST_CHIPS = 60; // of an input

/** What each further input got: each step of it, or each of its numbers, over all steps where these have names. */
function otherInputs(b) {
  const full = scale(b);
  return otherRelevance(b).map((values, n) => {
    const { name, width, lengths, variables } = data.others[n];
    const byStep = lengths !== null && variables === null;
    const cells = new Float32Array(byStep ? lengths[b] : width);
    values.forEach((x, i) => (cells[byStep ? Math.floor(i / width) : i % width] += x));
    const nameOfCell = (i) => (byStep ? `t=${i}` : (variables?.[i] ?? (width > 1 ? `${i}:` : "")));
    const bySize = Array.from(cells.keys()).sort((i, j) => Math.abs(cells[j]) - Math.abs(cells[i]));
    const chips = bySize.slice(0, MOST_CHIPS).sort((i, j) => i - j).flatMap((i) => {
      const className = `chip s${level(cells[i] / full)}`;
      return [" ", element("span", { className, textContent: `${nameOfCell(i)} ${signed(cells[i])}`.trim() })];
    });
    if (cells.length > MOST_CHIPS) chips.push(` and ${cells.length - MOST_CHIPS} smaller ones`);
    return element("p", { className: "other" }, element("b", { textContent: name }), ...chips);
  });
}

// Redrawing ---------------------------------------------------------------------------------------

let version = 0; // of what the controls say
const near = new Set(); // rows that are in view, or nearly

const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const b = Number(target.dataset.b);
      if (isIntersecting) near.add(b);
      else near.delete(b);
    }
    drawSome();
  },
  { rootMargin: "600px 0px" },
);

const SLICE = 12; // milliseconds, which leave a browser time for what people do meanwhile

/** Draw rows that are near until a slice of time is over, and the others in the next frame. */
function drawSome() {
  const start = performance.now();
  for (const b of near) {
    if (performance.now() - start > SLICE) {
      requestAnimationFrame(drawSome);
      return;
    }
    draw(b);
  }
}

/** Draw anew what is near. */
function redraw() {
  version++;
  shared = null;
  hideTip();
  if ($("contrast")) $("contrast").hidden = !method().shares || isByStep();
  list.classList.toggle("by-step", isByStep());
  drawSome();
  drawLegend();
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

