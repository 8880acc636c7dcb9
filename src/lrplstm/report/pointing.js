// The number of a word, or of a step, by pointing at it, by touch and by keyboard; and what a click chooses.

const tip = $("tip");

function showTip(content, box) {
  tip.replaceChildren(...content);
  tip.showPopover(); // above all else, wherever what surrounds it begins and ends
  const { width, height } = tip.getBoundingClientRect();
  const room = document.documentElement.clientWidth - width - 8;
  const left = Math.max(8, Math.min(box.left + box.width / 2 - width / 2, room));
  const above = box.top - height - 8;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 0 ? above : box.bottom + 8}px`;
}

function hideTip() {
  tip.hidePopover();
  root.querySelector(".word.current")?.classList.remove("current");
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
  if (button.dataset.k !== undefined) {
    $("target").value = button.dataset.k;
    $("target").dispatchEvent(new Event("change"));
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
  if (!event.composedPath()[0].closest?.(".word, canvas")) hideTip();
});
for (const kind of ["wheel", "touchmove"]) window.addEventListener(kind, hideTip, { passive: true });

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

