// What a page does: order, filters, tables of numbers, its theme, and paper.

// Tables ------------------------------------------------------------------------------------------

const quoted = (x) => (/[",\r\n]/.test(x) ? `"${String(x).replaceAll('"', '""')}"` : String(x));
const rounded = (x) => String(Number(x.toPrecision(4)));

/** What is shown of some sequences, as CSV. */
function csv(sequences) {
  const named = isText ? ["token"] : data.values ? ["label", "variable", "value"] : ["label", "variable"];
  const header = ["sequence", "step", ...named, "method", "explained", "relevance"];
  const lines = [data.others.length ? [...header, "input"] : header];
  for (const b of sequences) {
    const values = relevance(b);
    const about = [method().name, explained(b)];
    const series = data.values ? numbers(data, "values").subarray(D * offsets[b]) : null;
    for (let t = 0; t < data.lengths[b]; t++) {
      for (let d = 0; d < D; d++) {
        const what = isText ? [data.texts[b][2 * t + 1]] : [stepName(b, t), variableName(d)];
        if (series) what.push(rounded(series[t * D + d]));
        const line = [b, t, ...what, ...about, rounded(values[t * D + d])];
        lines.push(data.others.length ? [...line, data.input] : line);
      }
    }
    otherRelevance(b).forEach((relevances, n) => {
      const { name, width, lengths, variables } = data.others[n];
      relevances.forEach((x, i) => {
        const what = named.map((column) => (column === "variable" ? (variables?.[i % width] ?? i % width) : ""));
        lines.push([b, lengths ? Math.floor(i / width) : "", ...what, ...about, rounded(x), name]);
      });
    });
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

let order = []; // of the sequences that are shown
let placed = 0; // so many of them stand in the page
let placing = null; // the frame in which more will

const SOME = 100; // rows for which a browser finds places within a frame

/** Put rows into the page in their order, some in each frame: thousands would take seconds. */
function place(sequences) {
  cancelAnimationFrame(placing);
  order = sequences;
  placed = 0;
  near.clear();
  observer.disconnect();
  list.replaceChildren();
  placeMore(SOME);
}

function placeMore(count) {
  const more = order.slice(placed, placed + count).map((b) => rows[b]);
  placed += more.length;
  list.append(...more);
  for (const row of more) observer.observe(row);
  if (placed < order.length) placing = requestAnimationFrame(() => placeMore(SOME));
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
  const sequences = data.lengths.map((_, b) => b).filter(passes);
  const sort = value("sort", "given");
  if (sort === "text") sequences.sort((one, other) => plain(one).localeCompare(plain(other)));
  else if (sort !== "given") {
    const key = new Map(sequences.map((b) => [b, KEYS[sort](b)]));
    sequences.sort((one, other) => key.get(other) - key.get(one) || one - other);
  }
  if (sequences.join() !== order.join()) place(sequences);
  const [some, all] = [order.length, B].map((count) => count.toLocaleString("en"));
  const count = some === all ? `all ${all}` : `${some} of ${all}`;
  $("shown").textContent = B === 1 ? "" : `${count} ${isText ? "texts" : "series"}`;
  if ($("deltas")) $("deltas").hidden = !method().shares;
  redraw();
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

// Controls ----------------------------------------------------------------------------------------

for (const id of ["target", "against", "method", "class", "verdict", "sort", "scale", "variables", "numbers"]) {
  $(id)?.addEventListener("change", update);
}
for (const id of ["search", "delta"]) $(id)?.addEventListener("input", update);
$("copy").addEventListener("click", () => copy(order));
list.addEventListener("click", (event) => {
  if (event.target.dataset.key === "copy") copy([sequenceAt(event.target)]);
});
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
  themed.dataset.theme = wanted === "auto" ? (system.matches ? "dark" : "light") : wanted;
  update();
}
$("theme").addEventListener("change", follow);
system.addEventListener("change", follow);

// Paper has room for all, and is light.
window.addEventListener("beforeprint", () => {
  printing = true;
  cancelAnimationFrame(placing);
  placeMore(order.length);
  for (const b of order) draw(b);
  drawLegend();
});
window.addEventListener("afterprint", () => {
  printing = false;
  update();
});

if (window.innerWidth < 640) document.querySelector(".tools")?.removeAttribute("open");
summarize();
follow();
