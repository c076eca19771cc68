// @ts-check
// Parts of a page that the server renders again: put in place whole, but for what somebody points at or has focused.
import { on } from "./source.js";
import { still } from "./times.js";

class LivePart extends HTMLElement {
  #next = "";

  connectedCallback() {
    this.#next = this.innerHTML;
    // The pointer and the focus are elsewhere only when these events are over.
    for (const left of ["pointerleave", "pointerup", "focusout"]) this.addEventListener(left, () => setTimeout(() => this.#settle()));
  }

  /** @param {string} html */
  take(html) {
    this.#next = html;
    this.#settle();
  }

  #settle() {
    if (still(this.#next) === still(this.innerHTML) || this.matches(":active")) return;
    if (this.matches(":hover") || this.contains(document.activeElement)) this.#inPlace();
    else this.innerHTML = this.#next;
  }

  /** Each row changes where it is; what is new, or has moved, waits. */
  #inPlace() {
    const template = document.createElement("template");
    template.innerHTML = this.#next;
    for (const row of /** @type {NodeListOf<HTMLElement>} */ (this.querySelectorAll("[data-id]"))) {
      const fresh = template.content.querySelector(`[data-id="${row.dataset.id}"]`);
      row.classList.toggle("gone", !fresh);
      if (!fresh || still(fresh.innerHTML) === still(row.innerHTML)) continue;
      const focused = row.contains(document.activeElement) ? document.activeElement?.localName : "";
      row.className = fresh.className;
      row.replaceChildren(...fresh.childNodes);
      if (focused) /** @type {HTMLElement | null} */ (row.querySelector(focused))?.focus({ preventScroll: true });
    }
  }
}

customElements.define("live-part", LivePart);

on("fresh", (parts) => {
  for (const [id, html] of Object.entries(parts)) {
    const place = document.getElementById(id);
    if (place instanceof LivePart) place.take(html);
  }
});
