// What an output in a notebook does: all of its rows are there, and it follows the theme of what surrounds it.

/** The colour behind it, or null where everything around it lets the next one through. */
function paper() {
  for (let place = root.host; place; place = place.parentElement) {
    const [red, green, blue, alpha = 1] = getComputedStyle(place).backgroundColor.match(/[\d.]+/g).map(Number);
    if (alpha === 1) return [red, green, blue];
  }
  return null;
}

/** Whether the text around it is light on dark. */
function isInTheDark(behind) {
  const { jpThemeLight, vscodeThemeKind } = document.body.dataset;
  if (jpThemeLight) return jpThemeLight === "false";
  if (vscodeThemeKind) return /dark$|contrast$/.test(vscodeThemeKind);
  if (behind) return ink(behind) === "#ffffff";
  const schemes = getComputedStyle(document.documentElement).colorScheme;
  return schemes.includes("dark") && (system.matches || !schemes.includes("light"));
}

const system = matchMedia("(prefers-color-scheme: dark)");

let seen = null;

function follow() {
  const behind = paper();
  const theme = isInTheDark(behind) ? "dark" : "light";
  if (seen === `${theme} ${behind}`) return;
  seen = `${theme} ${behind}`;
  themed.dataset.theme = theme;
  // What has no relevance has the colour behind it, and what has little comes near to that.
  if (behind && (ink(behind) === "#ffffff") === (theme === "dark")) ENDS[theme].zero = oklab(behind);
  mixColours();
  redraw();
}

const changes = new MutationObserver(() => {
  follow();
  setTimeout(follow, 500); // colours may go over into one another
});
for (const place of [document.documentElement, document.body]) changes.observe(place, { attributes: true });
system.addEventListener("change", follow);

for (const id of ["target", "against", "method", "scale", "variables", "numbers"]) {
  $(id)?.addEventListener("change", redraw);
}
list.replaceChildren(...rows);
for (const row of rows) observer.observe(row);
follow();
