// @ts-check
// One stream of server-sent events for a visible page: closed while it is hidden, resumed where it was.

/** @typedef {Record<string, (data: any, id: string) => void>} Handlers */

const AGAIN_MS = 1500;
const SELDOM_MS = 30_000;

export class Source {
  /** @type {EventSource | null} */
  #stream = null;
  #over = false;
  #failures = 0;
  /** @type {number | undefined} */
  #timer;
  #visible = () => (document.hidden ? this.#pause() : this.#open());

  /**
   * @param {() => string} url where to go on from, asked for each time
   * @param {Handlers} handlers by the kinds of events; data is JSON
   * @param {(connected: boolean) => void} told of each change of the connection
   */
  constructor(url, handlers, told = () => {}) {
    this.url = url;
    this.handlers = handlers;
    this.told = told;
    document.addEventListener("visibilitychange", this.#visible);
    if (!document.hidden) this.#open();
  }

  close() {
    this.#over = true;
    this.#pause();
    document.removeEventListener("visibilitychange", this.#visible);
  }

  #pause() {
    clearTimeout(this.#timer);
    this.#stream?.close();
    this.#stream = null;
  }

  /** Later each time, and not all browsers at once. */
  #again() {
    this.#pause();
    this.told(false);
    const wait = Math.min(AGAIN_MS * 2 ** this.#failures++, SELDOM_MS) * (0.75 + Math.random() / 2);
    if (!document.hidden && !this.#over) this.#timer = setTimeout(() => this.#open(), wait);
  }

  /** The server answered with no stream: who is signed out, or whose page is gone, is shown that. */
  async #refused() {
    this.#again();
    const answer = await fetch(location.href).catch(() => null);
    if (this.#over || (answer?.status !== 401 && answer?.status !== 404)) return;
    this.close();
    location.reload();
  }

  #open() {
    if (this.#over || this.#stream) return;
    const stream = (this.#stream = new EventSource(this.url()));
    stream.onopen = () => {
      this.#failures = 0;
      this.told(true);
    };
    stream.onerror = () => {
      if (this.#stream !== stream) return;
      if (stream.readyState === EventSource.CLOSED) void this.#refused();
      else this.#again();
    };
    stream.addEventListener("closing", () => this.#again());
    stream.addEventListener("end", () => this.close());
    for (const [kind, handle] of Object.entries(this.handlers)) {
      stream.addEventListener(kind, (event) => handle(JSON.parse(event.data), event.lastEventId));
    }
  }
}
