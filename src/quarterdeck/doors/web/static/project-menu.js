// @ts-check
// The menu of a project: where there is room it stands open, on a narrow page it opens when it is asked for.

const narrow = matchMedia("(max-width: 45rem)");
const menu = /** @type {HTMLDetailsElement | null} */ (document.getElementById("project-menu"));

function fit() {
  if (menu) menu.open = !narrow.matches;
}

narrow.addEventListener("change", fit);
fit();
