// @ts-check
// Parts of a page that the server renders again: put in place whole, but for what somebody points at or has focused.
import { on } from "./source.js";
import { still } from "./times.js";

class LivePart extends HTMLElement {
  /** What is here, without times; null when some of it is and some waits. @type {string | null} */
  #shown = null;
  #next = "";

  connectedCallback() {
    this.#next = this.innerHTML;
    this.#shown = still(this.#next);
    // The pointer and the focus are elsewhere only when these events are over.
    for (const left of ["pointerleave", "pointerup", "focusout"]) this.addEventListener(left, () => setTimeout(() => this.#settle()));
  }

  /** @param {string} html */
  take(html) {
    this.#next = html;
    this.#settle();
  }

  #settle() {
    const next = still(this.#next);
    if (next === this.#shown || this.matches(":active")) return;
    if (this.matches(":hover") || this.contains(document.activeElement)) return this.#inPlace();
    this.innerHTML = this.#next;
    this.#shown = next;
  }

  /** Each row changes where it is; what is new, or has moved, waits. */
  #inPlace() {
    this.#shown = null;
    const template = document.createElement("template");
    template.innerHTML = this.#next;
    for (const row of /** @type {NodeListOf<HTMLElement>} */ (this.querySelectorAll("[data-id]"))) {
      const fresh = template.content.querySelector(`[data-id="${row.dataset.id}"]`);
      if (!fresh) {
        row.classList.add("gone");
        continue;
      }
      const focused = row.contains(document.activeElement) ? document.activeElement : null;
      row.className = fresh.className;
      row.replaceChildren(...fresh.childNodes);
      if (focused) sameIn(row, focused).focus({ preventScroll: true });
    }
  }
}

/** What has the focus now in place of what had it: never a button that does something else. @param {HTMLElement} row @param {Element} before */
function sameIn(row, before) {
  const known = before.id ? document.getElementById(before.id) : null;
  const alike = ["a", "input"].includes(before.localName) ? row.querySelector(before.localName) : null;
  const next = known ?? /** @type {HTMLElement} */ (alike ?? row);
  if (next === row) row.tabIndex = -1;
  return next;
}

customElements.define("live-part", LivePart);

on("fresh", (parts) => {
  for (const [id, html] of Object.entries(parts)) {
    const place = document.getElementById(id);
    if (place instanceof LivePart) place.take(html);
  }
});
