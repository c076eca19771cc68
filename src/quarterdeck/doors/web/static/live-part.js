// @ts-check
// A part of a page that is replaced when it changes, and a log that goes on below it.
import { Source } from "./source.js";

/** What a log keeps on the page; the raw one has all of it. */
const KEPT_CHARACTERS = 1_000_000;
const NEAR_PIXELS = 80;

class LivePart extends HTMLElement {
  /** @type {Source | null} */
  #source = null;

  connectedCallback() {
    const src = this.getAttribute("src");
    if (!src) return;
    const url = () => (this.hasAttribute("after") ? `${src}?after=${this.getAttribute("after")}` : src);
    const sign = this.querySelector(".connection");
    this.#source = new Source(
      url,
      { part: ({ html }) => this.#put(html), output: ({ end, html }) => this.#print(end, html) },
      (connected) => sign?.toggleAttribute("hidden", connected),
    );
  }

  disconnectedCallback() { this.#source?.close(); }

  /** @param {string} html */
  #put(html) {
    const part = /** @type {HTMLElement} */ (this.querySelector("[data-part]"));
    const focused = part.contains(document.activeElement) ? document.activeElement?.id : "";
    part.innerHTML = html;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  /** Who is at the end stays there. @param {number} end @param {string} html */
  #print(end, html) {
    const log = /** @type {HTMLElement} */ (this.querySelector("[data-output]"));
    const { scrollHeight } = document.documentElement;
    const follows = window.scrollY + window.innerHeight >= scrollHeight - NEAR_PIXELS;
    const piece = document.createElement("span");
    piece.innerHTML = html;
    log.append(piece);
    this.setAttribute("after", String(end));
    let size = log.textContent?.length ?? 0;
    while (size > KEPT_CHARACTERS && log.firstChild !== piece) {
      size -= log.firstChild?.textContent?.length ?? 0;
      log.firstChild?.remove();
    }
    if (follows) window.scrollTo(0, document.documentElement.scrollHeight);
  }
}

customElements.define("live-part", LivePart);
