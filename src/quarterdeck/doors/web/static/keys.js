// @ts-check
// Single keys, outside of fields, unless they are switched off. None of them decides anything.

const OFF = "quarterdeck_keys_off";
const help = /** @type {HTMLDialogElement | null} */ (document.getElementById("keys"));
const lever = /** @type {HTMLInputElement | null} */ (document.getElementById("single-keys"));
const LEVELS = ".levels a[aria-current]";
/** @type {Record<string, () => void>} */
const KEYS = {
  "/": () => document.getElementById("go")?.focus(),
  "?": () => help?.showModal(),
  j: () => step(".entry", 1),
  k: () => step(".entry", -1),
  n: () => hit("next") || step(".entry.bad", 1),
  p: () => hit("prev") || step(".entry.bad", -1),
  o: () => {
    const folds = document.activeElement?.closest(".entry")?.querySelectorAll("details") ?? [];
    for (const one of folds) one.open = !one.open;
  },
  f: () => document.querySelector("session-log")?.dispatchEvent(new Event("follow")),
  ".": () => {
    const now = document.querySelector(LEVELS);
    const next = now?.nextElementSibling ?? now?.parentElement?.firstElementChild;
    /** @type {HTMLElement | null | undefined} */ (next)?.click();
  },
};
let before = "";

if (lever) {
  lever.checked = localStorage.getItem(OFF) === null;
  lever.addEventListener("change", () => (lever.checked ? localStorage.removeItem(OFF) : localStorage.setItem(OFF, "yes")));
}
const opener = document.getElementById("to-keys");
if (opener) opener.hidden = false;
opener?.addEventListener("click", () => help?.showModal());

document.addEventListener("keydown", (event) => {
  const at = /** @type {HTMLElement} */ (event.target);
  if (localStorage.getItem(OFF) !== null) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (at.isContentEditable || at.matches("input, textarea, select, dialog *")) return;
  if (before === "g" && event.key === "c") {
    event.preventDefault();
    document.dispatchEvent(new Event("chat"));
  } else if (before === "g" && event.key === "s") location.href = document.querySelector(".side a[href$='/sessions']")?.getAttribute("href") ?? "/sessions";
  else if (KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  }
  before = event.key;
});

/** Goes on in a search of the log; whether there is one. @param {string} which */
function hit(which) {
  const first = which === "next" ? document.querySelector(".hits > ol a") : null;
  const to = /** @type {HTMLElement | null} */ (document.querySelector(`.hit-nav [rel="${which}"]`) ?? first);
  to?.click();
  return Boolean(to) || document.querySelector(".hit-nav") !== null;
}

/** Moves the focus to the next or the previous of the entries. @param {string} which @param {number} by */
function step(which, by) {
  const all = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(which)].filter((one) => one.checkVisibility()));
  const focused = document.activeElement?.closest(".entry") ?? null;
  const middle = innerHeight / 3;
  let place = focused ? all.indexOf(/** @type {HTMLElement} */ (focused)) : -1;
  if (place < 0) {
    const below = all.findIndex((one) => one.getBoundingClientRect().top >= (focused?.getBoundingClientRect().top ?? middle));
    place = by > 0 ? (below < 0 ? all.length : below) - 1 : below < 0 ? all.length : below;
  }
  const next = all[place + by];
  if (!next) return;
  next.tabIndex = -1;
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}
