// @ts-check
// A list whose rows change where they are; what is new is counted and comes when it is asked for.
import { Source } from "./source.js";

class LiveList extends HTMLElement {
  /** @type {Set<number>} */
  #unseen = new Set();
  /** @type {Source | null} */
  #source = null;

  connectedCallback() {
    this.#source = new Source(() => this.getAttribute("src") ?? "", {
      page: ({ rows }) => { for (const id of Object.keys(rows)) this.#put(Number(id), rows[id]); },
      changed: ({ id, html }) => this.#put(id, html),
      gone: ({ id }) => document.getElementById(`s${id}`)?.classList.add("gone"),
    });
  }

  disconnectedCallback() { this.#source?.close(); }

  /** @param {number} id @param {string} html */
  #put(id, html) {
    const row = document.getElementById(`s${id}`);
    if (!row) return this.#count(id);
    const chosen = row.querySelector("input")?.checked ?? false;
    const focused = row.contains(document.activeElement) ? document.activeElement?.localName : "";
    row.outerHTML = html;
    const fresh = document.getElementById(`s${id}`);
    const box = fresh?.querySelector("input");
    if (box) box.checked = chosen;
    if (focused) /** @type {HTMLElement | null | undefined} */ (fresh?.querySelector(focused))?.focus({ preventScroll: true });
  }

  /** @param {number} id */
  #count(id) {
    this.#unseen.add(id);
    const news = /** @type {HTMLElement} */ (this.querySelector(".news"));
    const link = /** @type {HTMLAnchorElement} */ (news.firstElementChild);
    const n = this.#unseen.size;
    link.textContent = n === 1 ? link.dataset.one ?? "" : (link.dataset.more ?? "").replace("{n}", String(n));
    news.hidden = false;
  }
}

customElements.define("live-list", LiveList);
