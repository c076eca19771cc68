// @ts-check
// A session's page while it goes on: entries are added, calls get their ends, the header and the questions change.
import { replace } from "./forms.js";
import { goOnFrom, on } from "./source.js";
import { still } from "./times.js";

const NEAR_END = 160;
const CHUNK = 200;
/** Entries that a page has while its reader is at the end, and while they read elsewhere. */
const MOST = 12 * CHUNK;
const MOST_READ = 2 * MOST;
const OUTPUT_KEPT = 200;
const ANNOUNCE_MS = 10_000;

const PARTS = ["header", "waiting", "composer"];

class SessionLog extends HTMLElement {
  #follows = false;
  #unseen = 0;
  #unsaid = 0;
  #through = 0;
  #fetching = false;
  /** @type {Record<string, string>} */
  #parts = {};
  /** How many bytes of a call's output are here. @type {Map<string, number>} */
  #printed = new Map();
  #scrolled = () => !this.hasAttribute("cut") && this.#atEnd() && this.#seen();

  connectedCallback() {
    this.#through = Number(this.getAttribute("after"));
    this.#follows = !this.hasAttribute("cut") && ["", "#message"].includes(location.hash);
    for (const name of PARTS) this.#parts[name] = still(document.getElementById(`session-${name}`)?.innerHTML ?? "");
    this.querySelector(".earlier")?.addEventListener("click", (event) => void this.#earlier(event));
    this.querySelector(".new-entries")?.addEventListener("click", () => this.#toEnd());
    this.addEventListener("follow", () => this.#toEnd());
    addEventListener("scroll", this.#scrolled, { passive: true });
    addEventListener("hashchange", () => this.#mark());
    this.#mark();
    if (this.#follows && this.querySelector(".timeline li") && !document.querySelector(".hits")) this.#begin();
    if (this.hasAttribute("over")) return;
    goOnFrom(() => this.#url("/stream", "after", this.#through));
    on("entries", (html, id) => this.#add(html, Number(id)));
    on("partial", ({ text }) => this.#partial(text));
    on("output", (told) => this.#output(told));
    on("parts", (told) => this.#change(told));
    this.timer = setInterval(() => this.#announce(), ANNOUNCE_MS);
  }

  disconnectedCallback() {
    clearInterval(this.timer);
    removeEventListener("scroll", this.#scrolled);
  }

  /** Where a log opens: at its end, or at what it failed of. */
  #begin() {
    const failure = this.hasAttribute("failed") ? [...this.#list.querySelectorAll(".entry.bad")].at(-1) : null;
    if (failure instanceof HTMLElement) this.#show(failure);
    else this.#toEnd();
  }

  /** An address of this session's log at the level of this page. @param {string} path @param {string} name @param {string | number} seq */
  #url(path, name, seq) {
    return `/sessions/${this.getAttribute("session")}${path}?level=${this.getAttribute("level")}&${name}=${seq}`;
  }

  /** @param {string} selector @returns {HTMLElement} */
  #one(selector) { return /** @type {HTMLElement} */ (this.querySelector(selector)); }

  get #list() { return this.#one(".timeline"); }

  get #entries() { return /** @type {HTMLCollectionOf<HTMLElement>} */ (this.#list.getElementsByClassName("entry")); }

  /** Marks the entry that the address names and opens what it is folded in. */
  #mark() {
    const [, id, line] = /^#(e\d+)(?:\.L(\d+))?$/.exec(location.hash) ?? [];
    const entry = id && document.getElementById(id);
    if (id && !entry) location.replace(`${location.pathname}?at=${id.slice(1)}${location.hash}`);
    if (!entry) return;
    if (line) return this.#toLine(entry, line);
    this.#show(entry);
  }

  /** A line that is not here is on the page of its entry. @param {HTMLElement} entry @param {string} line */
  #toLine(entry, line) {
    const end = entry.querySelector(".end")?.id;
    const there = document.getElementById(`${entry.id}.L${line}`);
    if (there) this.#show(there);
    else if (end && document.getElementById(`${end}.L${line}`)) location.replace(`#${end}.L${line}`);
    else location.replace(`/sessions/${this.getAttribute("session")}/entries/${entry.id.slice(1)}?line=${line}${location.hash}`);
  }

  /** @param {HTMLElement} place */
  #show(place) {
    for (let fold = place.closest("details"); fold; fold = fold.parentElement?.closest("details") ?? null) fold.open = true;
    this.#follows = false;
    place.scrollIntoView({ block: place.matches(".l:hover") ? "nearest" : "center" });
  }

  /** @param {string} html @param {number} id */
  #add(html, id) {
    if (id <= this.#through) return;
    this.#through = id;
    if (this.hasAttribute("cut")) return;
    const template = document.createElement("template");
    template.innerHTML = html;
    const stays = this.#follows && this.#atEnd();
    if (stays) this.#trim();
    const shown = /** @type {HTMLElement[]} */ ([...template.content.children]).filter((entry) => this.#place(entry)).length;
    if (stays) this.#toEnd();
    else if (shown) this.#count(shown);
    this.#unsaid += shown;
  }

  /**
   * A beginning and an end go into the card of their call, what only Full shows into a fold, all else to the end.
   * Whether it is shown: the end of a call that isn't may come too, and a page that is read has room for so many entries.
   * @param {HTMLElement} entry
   */
  #place(entry) {
    if (this.#inCard(entry)) return true;
    if ("hidden" in entry.dataset) return false;
    if (this.#entries.length >= MOST_READ) this.setAttribute("cut", "");
    if (this.hasAttribute("cut")) return true;
    const last = /** @type {HTMLElement | null} */ (this.#list.lastElementChild);
    if (entry.classList.contains("quiet") && last?.classList.contains("fold")) this.#fold(last, entry);
    else this.#list.append(entry);
    return true;
  }

  /** Whether it found its card. @param {HTMLElement} entry */
  #inCard(entry) {
    const { begins, ends } = entry.dataset;
    const waiting = begins && this.#list.querySelector(`[data-call="${CSS.escape(begins)}"] .result`);
    if (waiting && !waiting.querySelector(".end")) waiting.append(...(entry.querySelector(".what")?.children ?? []));
    const card = ends && this.#list.querySelector(`[data-call="${CSS.escape(ends)}"]`);
    if (card) {
      this.#printed.delete(ends);
      card.querySelector(".result")?.replaceChildren(...(entry.querySelector(".what")?.children ?? []));
      card.querySelector(".end")?.setAttribute("id", entry.id);
      if (entry.classList.contains("bad")) {
        card.classList.add("bad");
        card.closest("details")?.setAttribute("open", "");
      }
    }
    return Boolean(waiting || card);
  }

  /** @param {HTMLElement} fold @param {HTMLElement} entry */
  #fold(fold, entry) {
    fold.querySelector("ol")?.append(entry);
    this.#summary(fold);
  }

  /** @param {Element} fold */
  #summary(fold) {
    const inside = /** @type {HTMLElement[]} */ ([...fold.querySelectorAll(".entry")]);
    /** @type {Map<string, number>} */
    const tools = new Map();
    for (const { dataset } of inside) if (dataset.tool) tools.set(dataset.tool, (tools.get(dataset.tool) ?? 0) + 1);
    const count = fold.querySelector("[data-count]");
    if (count) count.textContent = String(inside.length);
    const named = fold.querySelector("[data-tools]");
    if (named) named.textContent = [...tools].map(([tool, n]) => (n > 1 ? `${tool} ×${n}` : tool)).join(", ");
  }

  /** The page holds so much of a log and no more: the rest is behind “Earlier entries”. */
  #trim() {
    const entries = this.#entries;
    if (entries.length <= MOST) return;
    while (entries.length > MOST - CHUNK) this.#remove(entries[0]);
    this.#begins(entries[0].dataset.seq ?? "");
  }

  /** @param {Element} entry */
  #remove(entry) {
    const fold = entry.closest(".fold");
    entry.remove();
    if (fold?.querySelector(".entry")) this.#summary(fold);
    else fold?.remove();
  }

  /** Where the entries here begin; empty for the log's own beginning. @param {string} seq */
  #begins(seq) {
    const link = /** @type {HTMLAnchorElement} */ (this.querySelector(".earlier"));
    link.hidden = !seq;
    if (seq) link.href = this.#url("", "before", seq);
  }

  /** Puts a chunk before the others; where the page is full its link leads on. @param {Event} event */
  async #earlier(event) {
    const link = /** @type {HTMLAnchorElement} */ (event.currentTarget);
    if (this.#entries.length >= MOST_READ) return;
    event.preventDefault();
    if (this.#fetching) return;
    this.#fetching = true;
    const answer = await fetch(link.href.replace("?", "/entries?")).catch(() => null);
    const html = await answer?.text().catch(() => null);
    this.#fetching = false;
    if (!answer?.ok || html == null) return location.assign(link.href);
    const height = document.documentElement.scrollHeight;
    this.#follows = false;
    const apart = this.#list.querySelectorAll("[data-begins], [data-ends]");
    this.#list.insertAdjacentHTML("afterbegin", html);
    for (const entry of apart) if (this.#inCard(/** @type {HTMLElement} */ (entry))) this.#remove(entry);
    scrollBy({ top: document.documentElement.scrollHeight - height, behavior: "instant" });
    this.#begins(answer.headers.get("Quarterdeck-First") ?? "");
  }

  /** @param {string} text */
  #partial(text) {
    const place = this.#one(".partial");
    const stays = this.#follows && this.#atEnd();
    place.textContent = text;
    place.hidden = !text;
    if (stays) this.#toEnd();
  }

  /** @param {{call: string, offset: number, bytes: number, html: string}} told */
  #output({ call, offset, bytes, html }) {
    const card = this.#list.querySelector(`[data-call="${CSS.escape(call)}"] [data-output]`);
    const known = this.#printed.get(call) ?? 0;
    if (!(card instanceof HTMLElement) || (offset && offset + bytes <= known)) return;
    const stays = this.#follows && this.#atEnd();
    if (!offset) card.textContent = "";
    card.insertAdjacentHTML("beforeend", html);
    this.#printed.set(call, offset + bytes);
    card.hidden = false;
    while (card.childNodes.length > OUTPUT_KEPT) card.firstChild?.remove();
    card.scrollTop = card.scrollHeight;
    if (stays) this.#toEnd();
  }

  /** @param {{title: string, header: string, waiting: string, composer: string}} told */
  #change({ title, ...parts }) {
    document.title = title;
    const status = () => document.querySelector("#session-header .state")?.textContent?.trim();
    const before = status();
    const stays = this.#follows && this.#atEnd();
    for (const [name, html] of Object.entries(parts)) {
      const place = document.getElementById(`session-${name}`);
      if (!place || this.#parts[name] === still(html)) continue;
      this.#parts[name] = still(html);
      replace(place, html);
    }
    if (status() !== before) this.#announce(status());
    if (stays) this.#toEnd();
  }

  #atEnd() { return innerHeight + scrollY >= this.#bottom - NEAR_END; }

  get #bottom() {
    const last = document.getElementById("session-composer") ?? this;
    return last.getBoundingClientRect().bottom + scrollY;
  }

  #toEnd() {
    if (this.hasAttribute("cut")) return location.assign(`/sessions/${this.getAttribute("session")}`);
    this.#follows = true;
    this.#seen();
    scrollTo({ top: this.#bottom - innerHeight + 24, behavior: "instant" });
  }

  #seen() {
    this.#follows = !this.hasAttribute("cut");
    this.#unseen = 0;
    this.#one(".new-entries").hidden = true;
  }

  /** @param {number} more */
  #count(more) {
    this.#unseen += more;
    const pill = this.#one(".new-entries");
    pill.textContent = `↓ ${(pill.dataset.text ?? "{n}").replace("{n}", String(this.#unseen))}`;
    pill.hidden = false;
  }

  /** Says a new status at once, and seldom how many entries are new. @param {string} [status] */
  #announce(status) {
    const place = this.#one("[data-announce]");
    if (status) place.textContent = status;
    if (status || !this.#unsaid) return;
    place.textContent = (place.dataset.text ?? "{n}").replace("{n}", String(this.#unsaid));
    this.#unsaid = 0;
  }
}

customElements.define("session-log", SessionLog);
