// @ts-check
// A list whose rows change where they are; what is new to it is counted and comes when it is asked for.
import { goOnFrom, on } from "./source.js";
import { still } from "./times.js";

class LiveList extends HTMLElement {
  /** @type {Set<number>} */
  #unseen = new Set();
  /** What the rows are here, without times. @type {Map<number, string>} */
  #shown = new Map();
  /** What came for rows that were just being clicked. @type {Map<number, string>} */
  #held = new Map();

  connectedCallback() {
    for (const row of this.querySelectorAll(".row")) this.#shown.set(Number(row.id.slice(1)), still(row.outerHTML));
    // The click is over only when these events are.
    for (const over of ["pointerup", "pointercancel", "keyup"]) document.addEventListener(over, () => setTimeout(() => this.#release()));
    goOnFrom(() => `${this.dataset.stream}&shown=${[...this.querySelectorAll(".row")].map(({ id }) => id.slice(1)).join(".")}`);
    on("page", ({ rows, order, whole }) => {
      this.#unseen.clear();
      // Of a list with several pages a row may stand on another of them; of those that left it `gone` tells.
      if (whole) for (const row of this.querySelectorAll(".row")) if (!order.includes(Number(row.id.slice(1)))) row.classList.add("gone");
      for (const id of order) this.#put(id, rows[id]);
      this.#count();
    });
    on("changed", ({ id, html }) => {
      this.#put(id, html);
      this.#count();
    });
    on("gone", ({ id }) => {
      this.#unseen.delete(id);
      this.#held.delete(id);
      document.getElementById(`s${id}`)?.classList.add("gone");
      this.#count();
    });
  }

  /** @param {number} id @param {string} html */
  #put(id, html) {
    this.#held.delete(id);
    const row = document.getElementById(`s${id}`);
    if (!row) {
      if (this.#isNew(html)) this.#unseen.add(id);
      return;
    }
    const now = still(html.trim());
    if (this.#shown.get(id) === now && !row.classList.contains("gone")) return;
    if (row.matches(":active")) {
      this.#held.set(id, html);
      return;
    }
    const chosen = row.querySelector("input")?.checked ?? false;
    const focused = row.contains(document.activeElement) ? document.activeElement?.localName : "";
    row.outerHTML = html;
    this.#shown.set(id, now);
    const fresh = document.getElementById(`s${id}`);
    const box = fresh?.querySelector("input");
    if (box) box.checked = chosen;
    if (focused) /** @type {HTMLElement | null | undefined} */ (fresh?.querySelector(focused))?.focus({ preventScroll: true });
  }

  #release() {
    for (const [id, html] of [...this.#held]) this.#put(id, html);
  }

  /** Of a list with several pages a row that isn't here may stand on another of them. @param {string} html */
  #isNew(html) {
    if (this.hasAttribute("whole")) return true;
    const template = document.createElement("template");
    template.innerHTML = html;
    const row = /** @type {HTMLElement | null} */ (template.content.querySelector(".row"));
    return Date.parse(row?.dataset.created ?? "") > Date.parse(this.getAttribute("since") ?? "");
  }

  #count() {
    const news = /** @type {HTMLElement} */ (this.querySelector(".news"));
    const link = /** @type {HTMLAnchorElement} */ (news.firstElementChild);
    const n = this.#unseen.size;
    link.textContent = n === 1 ? link.dataset.one ?? "" : (link.dataset.more ?? "").replace("{n}", String(n));
    news.hidden = !n;
  }
}

customElements.define("live-list", LiveList);
