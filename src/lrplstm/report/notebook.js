// What an output in a notebook does: all of its rows are there, and it follows the theme of what surrounds it.

/** Whether the text around it is light on dark. */
function isInTheDark() {
  const { jpThemeLight, vscodeThemeKind } = document.body.dataset;
  if (jpThemeLight) return jpThemeLight === "false";
  if (vscodeThemeKind) return /dark$|contrast$/.test(vscodeThemeKind);
  for (let place = root.host; place; place = place.parentElement) {
    const [red, green, blue, alpha = 1] = getComputedStyle(place).backgroundColor.match(/[\d.]+/g).map(Number);
    if (alpha > 0) return ink([red, green, blue]) === "#ffffff";
  }
  const schemes = getComputedStyle(document.documentElement).colorScheme;
  return schemes.includes("dark") && (system.matches || !schemes.includes("light"));
}

const system = matchMedia("(prefers-color-scheme: dark)");

function follow() {
  const wanted = isInTheDark() ? "dark" : "light";
  if (themed.dataset.theme === wanted) return;
  themed.dataset.theme = wanted;
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
