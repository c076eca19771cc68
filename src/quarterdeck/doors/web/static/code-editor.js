// @ts-check
// A text with numbered lines, looked at by the server while it is written: what is found stands at its lines.

const QUIET_MS = 500;

class CodeEditor extends HTMLElement {
  /** @type {HTMLTextAreaElement} */
  #text = /** @type {any} */ (null);
  #gutter = document.createElement("pre");
  /** @type {number | undefined} */
  #timer;
  /** @type {AbortController | null} */
  #asking = null;
  #sent = false;

  connectedCallback() {
    this.#text = /** @type {HTMLTextAreaElement} */ (this.querySelector("textarea"));
    this.#gutter.className = "gutter";
    this.#gutter.setAttribute("aria-hidden", "true");
    this.#text.before(this.#gutter);
    this.#text.addEventListener("scroll", () => (this.#gutter.scrollTop = this.#text.scrollTop));
    this.#text.addEventListener("input", () => {
      this.#number();
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => void this.#check(), QUIET_MS);
    });
    this.#place?.addEventListener("click", (event) => this.#goTo(event));
    this.#text.form?.addEventListener("submit", () => (this.#sent = true));
    addEventListener("beforeunload", this.#leaving);
    this.#number();
  }

  disconnectedCallback() { removeEventListener("beforeunload", this.#leaving); }

  #leaving = (/** @type {Event} */ event) => {
    if (!this.#sent && this.#text.value !== this.#text.defaultValue) event.preventDefault();
  };

  /** Where the server's findings stand. */
  get #place() { return document.getElementById(this.getAttribute("for") ?? ""); }

  /** Numbers the lines, and marks those that something was found in. */
  #number() {
    /** @type {Map<number, string>} */
    const marks = new Map();
    for (const one of /** @type {NodeListOf<HTMLElement>} */ (this.#place?.querySelectorAll("li[data-line]") ?? [])) {
      const line = Number(one.dataset.line);
      if (marks.get(line) !== "fault") marks.set(line, one.className);
    }
    const lines = this.#text.value.split("\n").length;
    const rows = Array.from({ length: lines }, (_, place) => {
      const row = document.createElement("span");
      row.textContent = String(place + 1);
      row.className = marks.get(place + 1) ?? "";
      return row;
    });
    this.#gutter.replaceChildren(...rows.flatMap((row) => [row, "\n"]));
    this.#gutter.scrollTop = this.#text.scrollTop;
  }

  /** Asks the server what it finds; an answer to an earlier text is not waited for. */
  async #check() {
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    const place = this.#place;
    try {
      const body = new URLSearchParams({ text: this.#text.value });
      const answer = await fetch(this.getAttribute("check") ?? "", { method: "POST", body, signal: asking.signal });
      if (!answer.ok) throw new Error(String(answer.status));
      const html = await answer.text();
      if (!place || asking.signal.aborted) return;
      place.innerHTML = html;
      this.#say(/** @type {HTMLElement | null} */ (place.firstElementChild)?.dataset.said ?? "");
      this.#number();
    } catch {
      if (!asking.signal.aborted) this.#say(this.getAttribute("failed") ?? "", true);
    }
  }

  /** @param {string} words @param {boolean} [seen] */
  #say(words, seen = false) {
    const said = document.getElementById(this.#text.getAttribute("aria-describedby") ?? "");
    if (!said) return;
    said.classList.toggle("unseen", !seen);
    said.classList.toggle("warning", seen);
    if (said.textContent !== words) said.textContent = words;
  }

  /** To the place of a finding. @param {Event} event */
  #goTo(event) {
    const link = /** @type {HTMLElement} */ (event.target).closest("a[data-line]");
    if (!(link instanceof HTMLElement)) return;
    event.preventDefault();
    const [line, column] = [Number(link.dataset.line), Number(link.dataset.column)];
    const lines = this.#text.value.split("\n");
    const at = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
    const end = at + (lines[line - 1]?.length ?? 0);
    this.#text.focus();
    this.#text.setSelectionRange(Math.min(at + column - 1, end), end);
    this.#text.scrollTop = (line - 4) * parseFloat(getComputedStyle(this.#text).lineHeight);
  }
}

customElements.define("code-editor", CodeEditor);
