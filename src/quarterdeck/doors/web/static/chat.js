// @ts-check
// Chats: one goes on in the right sidebar while its person reads any page, or alone on its own page.
import { replace } from "./forms.js";
import { goOnBeside, on } from "./source.js";
import { still } from "./times.js";

const COOKIE = "quarterdeck_rail";
const YEAR = 365 * 86400;
const NEAR_END = 80;
/** Entries that a conversation has while its reader is at the end; twice as many while they read elsewhere. */
const MOST = 400;
const CHUNK = 100;
const rail = document.getElementById("rail");

/** A conversation that is open: entries come to its end, calls get their results, the parts around it change. */
class ChatTalk extends HTMLElement {
  #through = 0;
  /** @type {Record<string, string>} */
  #parts = {};

  connectedCallback() {
    const entry = /^#e(\d+)$/.exec(location.hash)?.[1];
    if (entry && this.hasAttribute("alone")) return location.replace(`${location.pathname}?at=${entry}${location.hash}`);
    this.#through = Number(this.getAttribute("after"));
    for (const name of ["header", "head", "waiting", "composer"]) this.#parts[name] = still(this.#place(name)?.innerHTML ?? "");
    this.#toEnd();
    if (this.hasAttribute("over")) return;
    on("talk", (html, id) => this.#add(html, Number(id)));
    on("talk-partial", ({ text }) => this.#partial(text));
    on("talk-parts", (told) => this.#change(told));
    goOnBeside(() => (this.isConnected ? `chat=${this.getAttribute("session")}.${this.#through}` : ""));
  }

  disconnectedCallback() { if (!document.querySelector("chat-talk")) goOnBeside(() => ""); }

  /** @param {string} selector @returns {HTMLElement} */
  #one(selector) { return /** @type {HTMLElement} */ (this.querySelector(selector)); }

  get #log() { return this.#one(".talk-log"); }

  #atEnd() { return this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < NEAR_END; }

  #toEnd() { this.#log.scrollTop = this.#log.scrollHeight; }

  /** @param {string} html @param {number} id */
  #add(html, id) {
    if (id <= this.#through) return;
    this.#through = id;
    const stays = this.#atEnd();
    const template = document.createElement("template");
    template.innerHTML = html;
    for (const entry of /** @type {HTMLElement[]} */ ([...template.content.children])) {
      if (entry.dataset.ends) this.#end(entry);
      else this.#one(".talk").append(entry);
    }
    this.#trim(stays ? MOST : 2 * MOST);
    if (stays) this.#toEnd();
  }

  /** What a conversation has no room for is in the log. @param {number} most */
  #trim(most) {
    const entries = this.#one(".talk").children;
    if (entries.length <= most) return;
    while (entries.length > most - CHUNK) entries[0].remove();
    this.#one(".edge a").hidden = false;
  }

  /** Puts how a call ended into its line. @param {HTMLElement} entry */
  #end(entry) {
    const step = this.querySelector(`[data-call="${CSS.escape(entry.dataset.ends ?? "")}"]`);
    for (const part of ["[data-mark]", "[data-result]"]) {
      const told = entry.querySelector(part);
      if (told) step?.querySelector(part)?.replaceWith(told);
    }
  }

  /** @param {string} text */
  #partial(text) {
    const stays = this.#atEnd();
    const place = this.#one(".partial-answer");
    place.textContent = text;
    place.hidden = !text;
    if (stays) this.#toEnd();
  }

  /** Where a part stands: of a chat that is alone the header is the page's. @param {string} name */
  #place(name) {
    return this.querySelector(`[data-part="${name}"]`) ?? (this.hasAttribute("alone") ? document.getElementById(`session-${name}`) : null);
  }

  /** @param {Record<string, string>} told */
  #change({ title, ...parts }) {
    const stays = this.#atEnd();
    if (this.hasAttribute("alone")) document.title = title;
    for (const [name, html] of Object.entries(parts)) {
      const place = this.#place(name);
      if (!place || this.#parts[name] === still(html)) continue;
      this.#parts[name] = still(html);
      replace(place, html);
    }
    const state = this.querySelector(".talk-head .state") ?? document.querySelector("#session-header .state");
    const word = state?.textContent?.trim().slice(1).trim() ?? "";
    if (this.#one("[data-say]").textContent !== word) this.#one("[data-say]").textContent = word;
    if (stays) this.#toEnd();
  }
}

/** The chat of the sidebar: a form for a new one, or the one that goes on. */
class ChatPanel extends HTMLElement {
  connectedCallback() {
    this.addEventListener("submit", (event) => void this.#start(event));
    this.addEventListener("click", (event) => {
      if (!(/** @type {Element} */ (event.target).closest("[data-new]"))) return;
      this.#new();
      this.enter();
    });
    this.addEventListener("formdata", ({ formData }) => this.#about && formData.has("text") && formData.set("about", this.#about.value));
    this.addEventListener("sent", () => { if (this.#chip) this.#chip.checked = false; });
    this.section.addEventListener("toggle", () => this.#show());
    document.addEventListener("chat", () => this.enter());
    this.#show();
  }

  get section() { return /** @type {HTMLDetailsElement} */ (this.closest("details")); }

  get chat() { return this.getAttribute("chat") ?? ""; }

  get #open() { return /** @type {HTMLElement} */ (this.querySelector(".chat-open")); }

  get #form() { return /** @type {HTMLFormElement} */ (this.querySelector(".new-chat")); }

  /** What the page is about, said with the next message of the chat that goes on. */
  get #chip() { return /** @type {HTMLInputElement | null} */ (this.querySelector(".chat-about input")); }

  get #about() { return this.#chip?.checked ? this.#chip : null; }

  /** The chat that goes on is read only while its section is open. */
  #show() {
    if (this.section.open && this.chat) void this.open(this.chat);
    else this.#open.replaceChildren();
  }

  /** @param {string} chat */
  async open(chat) {
    if (this.#open.querySelector(`chat-talk[session="${CSS.escape(chat)}"]`)) return;
    this.setAttribute("chat", chat);
    const answer = await fetch(`/chats/${chat}/talk`).catch(() => null);
    const html = answer?.ok ? await answer.text().catch(() => "") : "";
    if (this.chat !== chat || !this.section.open) return;
    if (!html && answer) return this.#new();
    this.#open.innerHTML = html;
    this.#turn(Boolean(html));
  }

  #new() {
    this.removeAttribute("chat");
    this.#open.replaceChildren();
    this.#turn(false);
  }

  /** @param {boolean} goes whether a chat goes on */
  #turn(goes) {
    this.#open.hidden = !goes;
    this.#form.hidden = goes;
    const about = /** @type {HTMLElement | null} */ (this.querySelector(".chat-about"));
    if (about) about.hidden = !goes || !this.#open.querySelector("#talk-text");
    remember();
  }

  /** @param {SubmitEvent} event */
  async #start(event) {
    if (event.target !== this.#form) return;
    event.preventDefault();
    const button = /** @type {HTMLButtonElement} */ (this.#form.querySelector("button"));
    const body = new URLSearchParams(/** @type {any} */ (new FormData(this.#form)));
    button.disabled = true;
    const answer = await fetch("/chats", { method: "POST", body, headers: { Accept: "application/json" } }).catch(() => null);
    button.disabled = false;
    this.#form.querySelector(".problem")?.remove();
    const chat = answer?.ok && /\d+$/.exec(answer.headers.get("Location") ?? "")?.[0];
    if (!chat) {
      const said = answer ? (await answer.json().catch(() => ({}))).detail : "";
      const problem = Object.assign(document.createElement("p"), { className: "problem", textContent: said || "✗" });
      problem.setAttribute("role", "alert");
      return this.#form.append(problem);
    }
    this.#form.reset();
    /** @type {HTMLInputElement} */ (this.#form.elements.namedItem("key")).value = "";
    if (this.#chip) this.#chip.checked = false;
    await this.open(chat);
    this.enter();
  }

  /** Leads the keyboard to where one writes. */
  enter() {
    this.section.open = true;
    const places = ["#talk-text", ".new-chat textarea", ".talk-log"].map((one) => this.querySelector(one));
    const field = /** @type {HTMLElement | undefined} */ (places.find((one) => one?.checkVisibility()));
    field?.focus();
    field?.scrollIntoView({ block: "nearest" });
  }
}

/** Which section of the sidebar is open, and which chat goes on there: the next page has it so too. */
function remember() {
  const open = /** @type {HTMLElement | null} */ (rail?.querySelector("details[name='rail'][open]"))?.dataset.name ?? "closed";
  const panel = rail?.querySelector("chat-panel");
  const chat = panel ? panel.getAttribute("chat") : /:(\d+)/.exec(document.cookie.split(`${COOKIE}=`)[1]?.split(";")[0] ?? "")?.[1];
  document.cookie = `${COOKIE}=${open}${chat ? `:${chat}` : ""}; path=/; max-age=${YEAR}; samesite=strict`;
}

customElements.define("chat-talk", ChatTalk);
customElements.define("chat-panel", ChatPanel);

for (const section of rail?.querySelectorAll("details[name='rail']") ?? []) section.addEventListener("toggle", remember);

rail?.addEventListener("click", (event) => {
  const link = /** @type {Element} */ (event.target).closest("#rail-history .rail-rows a");
  const panel = /** @type {ChatPanel | null} */ (rail.querySelector("chat-panel"));
  const chat = /\/sessions\/(\d+)$/.exec(link?.getAttribute("href") ?? "")?.[1];
  if (!chat || !panel || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  panel.section.open = true;
  void panel.open(chat).then(() => panel.enter());
});

document.addEventListener("chat", () => {
  const here = /** @type {HTMLElement | null} */ (document.querySelector("main #talk-text, main .new-chat textarea"));
  if (here) here.focus();
  else if (!rail?.querySelector("chat-panel")) location.href = "/chats";
});

document.addEventListener("keydown", (event) => {
  const field = /** @type {HTMLElement} */ (event.target);
  if (field.matches?.("textarea[data-enter]") && event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    const form = /** @type {HTMLTextAreaElement} */ (field).form;
    if (!form?.querySelector("button:disabled")) form?.requestSubmit(); // once, while it is on its way
  } else if (event.key === "Escape" && field.closest?.("chat-panel, chat-talk, .new-chat")) document.getElementById("main")?.focus({ preventScroll: true });
});

document.addEventListener("change", async (event) => {
  const chosen = /** @type {HTMLSelectElement} */ (event.target);
  const agents = chosen.matches("[data-project]") ? chosen.form?.querySelector("[data-agents]") : null;
  const answer = agents ? await fetch(`/chats/agents?project=${chosen.value}`).catch(() => null) : null;
  if (agents && answer?.ok) agents.innerHTML = await answer.text();
});
