// @ts-check
// The page's one stream of server-sent events: closed while the page is hidden, resumed where it was.

/** @typedef {(data: any, id: string) => void} Handler */

const AGAIN_MS = 1500;
const SELDOM_MS = 30_000;
/** Answers in place of a stream that a page explains better: signed out, not allowed any more, gone. */
const EXPLAINED = [401, 403, 404];

/** @type {Map<string, Handler>} */
const handlers = new Map();
let beside = () => "";
/** @type {Source | null} */
let source = null;
let url = () => /** @type {HTMLElement | null} */ (document.querySelector("[data-stream]"))?.dataset.stream ?? "/stream";

/** Who takes the events of a kind; their data is JSON. @param {string} kind @param {Handler} handler */
export function on(kind, handler) { handlers.set(kind, handler); }

/** Where the stream goes on from, asked for each time. @param {() => string} from */
export function goOnFrom(from) { url = from; }

/** What else the stream tells of: a parameter of where it goes on from, asked for each time. @param {() => string} more */
export function goOnBeside(more) {
  beside = more;
  source?.anew();
}

/** Opens the stream, once all parts of the page have said what they take. */
export function begin() { if (document.getElementById("connection")) source = new Source(); }

class Source {
  /** @type {EventSource | null} */
  #stream = null;
  #over = false;
  #failures = 0;
  /** @type {number | undefined} */
  #timer;

  constructor() {
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#pause() : this.#open()));
    if (!document.hidden) this.#open();
  }

  #pause() {
    clearTimeout(this.#timer);
    this.#stream?.close();
    this.#stream = null;
  }

  /** Opened once more, from where all are by now: several who ask for it at once get one. */
  anew() {
    this.#pause();
    this.#timer = setTimeout(() => document.hidden || this.#open());
  }

  /** Says whether the page is up to date, where people and screen readers notice. @param {boolean} connected */
  #say(connected) {
    const sign = /** @type {HTMLElement} */ (document.getElementById("connection"));
    const said = connected ? "" : sign.dataset.away ?? "";
    if (sign.textContent !== said) sign.textContent = said;
  }

  /** Later each time, and not all browsers at once. */
  #again() {
    this.#pause();
    this.#say(false);
    const wait = Math.min(AGAIN_MS * 2 ** this.#failures++, SELDOM_MS) * (0.75 + Math.random() / 2);
    if (!document.hidden && !this.#over) this.#timer = setTimeout(() => this.#open(), wait);
  }

  /** The server answered with no stream: where the page itself says why, it is loaded again. @param {string} address */
  async #refused(address) {
    this.#again();
    for (const asked of [address, location.href]) if (!EXPLAINED.includes(await answerOf(asked))) return;
    if (this.#over) return;
    this.#over = true;
    this.#pause();
    location.reload();
  }

  #open() {
    if (this.#over || this.#stream) return;
    const [own, more] = [url(), beside()];
    const address = more ? `${own}${own.includes("?") ? "&" : "?"}${more}` : own;
    const stream = (this.#stream = new EventSource(address));
    stream.onopen = () => {
      this.#failures = 0;
      this.#say(true);
    };
    stream.onerror = () => {
      if (this.#stream !== stream) return;
      if (stream.readyState === EventSource.CLOSED) void this.#refused(address);
      else this.#again();
    };
    stream.addEventListener("closing", () => this.#again());
    for (const [kind, handle] of handlers) stream.addEventListener(kind, (event) => handle(JSON.parse(event.data), event.lastEventId));
  }
}

/** The status that the server answers with, 0 without an answer; what else it says is not waited for. @param {string} address */
async function answerOf(address) {
  const asking = new AbortController();
  const answer = await fetch(address, { signal: asking.signal }).catch(() => null);
  asking.abort();
  return answer?.status ?? 0;
}
