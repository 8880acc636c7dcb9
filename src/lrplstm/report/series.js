// Series: each variable is a strip, relevance as colours and the series as a line over them.

const views = new Map(); // what is shown of a series: its steps from, to; and the step pointed at

function view(b) {
  if (!views.has(b)) views.set(b, { from: 0, to: data.lengths[b], cursor: null });
  return views.get(b);
}

/** Which variable a strip is of; null for all together. */
const variableOf = (canvas) => (canvas.dataset.d === "" ? null : Number(canvas.dataset.d));

const stepName = (b, t) => (data.stepsOf[b] === null ? `t=${t}` : data.steps[data.stepsOf[b] + t]);
const variableName = (d) => data.variables?.[d] ?? (D > 1 ? `variable ${d}` : "all variables");

/** Relevance of a variable at each step; of all together where d is null. */
function ofVariable(values, d, T) {
  const cells = new Float32Array(T);
  const [first, last] = d === null ? [0, D] : [d, d + 1];
  for (let t = 0; t < T; t++) for (let i = first; i < last; i++) cells[t] += values[t * D + i];
  return cells;
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
  drawAxis(row.querySelector(".axis"), b);
  const canvases = [...row.querySelectorAll("canvas")];
  const boxes = canvases.map((canvas) => canvas.getBoundingClientRect()); // before any of them changes
  const style = getComputedStyle(row);
  const inPage = ["--paper", "--ink", "--line"].map((name) => style.getPropertyValue(name));
  const [paper, line, edge] = printing ? ["#fff", "#17181a", "#dcdde0"] : inPage;
  for (const [n, canvas] of canvases.entries()) {
    const d = variableOf(canvas);
    const cells = ofVariable(values, d, T);
    const series = d === null ? null : seriesOf(b, d);
    const looks = { from, to, full: d === null ? largest(cells) : full, paper, line, edge };
    drawStrip(canvas, boxes[n], cells, series, looks);
  }
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

const scratch = document.createElement("canvas");

/** Draw relevance as colours: a row of pixels, which is then made as high as the strip. */
function drawColours(context, cells, { from, to, full }) {
  const { width, height } = context.canvas;
  const colours = palette[theme()];
  const count = to - from;
  Object.assign(scratch, { width, height: 1 });
  const within = scratch.getContext("2d");
  const image = within.createImageData(width, 1);
  for (let x = 0; x < width; x++) {
    const first = from + Math.floor((x * count) / width);
    const last = Math.max(first + 1, from + Math.floor(((x + 1) * count) / width));
    let strongest = 0; // of the steps that share a pixel
    for (let t = first; t < last; t++) if (Math.abs(cells[t]) > Math.abs(strongest)) strongest = cells[t];
    image.data.set(colours[level(strongest / full)].rgb, 4 * x);
    image.data[4 * x + 3] = 255;
  }
  within.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(scratch, 0, 0, width, height);
}

/** Draw relevance as colours, and the series over it as a line. */
function drawStrip(canvas, box, cells, series, looks) {
  const { from, to, paper, line, edge } = looks;
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [box.width, box.height].map((size) => Math.max(1, Math.round(size * ratio)));
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const count = to - from;
  drawColours(context, cells, looks);
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
  const ends = made.map((tick) => tick.offsetLeft + tick.offsetWidth);
  const room = axis.clientWidth;
  made.forEach((tick, n) => (tick.hidden = ends[n] > room));
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

// Strips have as many pixels as they are wide.
let drawnWidth = list.clientWidth;
const resizes = new ResizeObserver(() => {
  if (list.clientWidth === drawnWidth) return; // it grows higher with each row that is drawn
  drawnWidth = list.clientWidth;
  for (const b of near) if (rows[b].version !== undefined) drawStrips(b);
});
if (!isText) resizes.observe(list);
