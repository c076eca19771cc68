// @ts-check
// Times that go on by themselves, from what the server said.

const SECOND = 1000;
/** @type {Set<{tick(): void}>} */
const ticking = new Set();
setInterval(() => { if (!document.hidden) for (const one of ticking) one.tick(); }, SECOND);

/** @param {number} seconds */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, String(whole % 60).padStart(2, "0")];
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** A part of a page without what times write into it by themselves, to compare two of them. @param {string} html */
export function still(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  for (const time of template.content.querySelectorAll("elapsed-time, relative-time")) time.textContent = "";
  return template.innerHTML;
}

class TickingTime extends HTMLElement {
  connectedCallback() { ticking.add(this); this.tick(); }
  disconnectedCallback() { ticking.delete(this); }
  get seconds() { return (Date.now() - Date.parse(this.getAttribute("since") ?? "")) / SECOND; }
  text() { return ""; }
  tick() {
    const text = this.text();
    if (text !== this.textContent) this.textContent = text;
  }
}

/** How long something runs by now: `1:07`. */
class ElapsedTime extends TickingTime {
  text() { return clock(this.seconds); }
}

/** How long ago something was, in the page's language. */
class RelativeTime extends TickingTime {
  text() {
    const format = new Intl.RelativeTimeFormat(document.documentElement.lang || "en", { style: "narrow" });
    /** @type {[number, Intl.RelativeTimeFormatUnit][]} */
    const units = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
    const [size, unit] = units.find(([size]) => this.seconds >= size) ?? [1, "second"];
    return format.format(-Math.max(0, Math.floor(this.seconds / size)), unit);
  }
}

customElements.define("elapsed-time", ElapsedTime);
customElements.define("relative-time", RelativeTime);
