// @ts-check
// The log of a job that runs: what it prints comes behind what is there.
import { goOnFrom, on } from "./source.js";

/** What a log keeps on the page; the raw one has all of it. */
const KEPT_CHARACTERS = 1_000_000;
const NEAR_PIXELS = 80;

class JobLog extends HTMLElement {
  connectedCallback() {
    const src = this.getAttribute("src");
    if (!src) return;
    goOnFrom(() => `${src}?after=${this.getAttribute("after")}`);
    on("printed", ({ end, html }) => this.#print(end, html));
  }

  /** Who is at the end stays there. @param {number} end @param {string} html */
  #print(end, html) {
    const log = /** @type {HTMLElement} */ (this.querySelector("pre"));
    const follows = window.scrollY + window.innerHeight >= document.documentElement.scrollHeight - NEAR_PIXELS;
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

customElements.define("job-log", JobLog);
