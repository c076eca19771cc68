// @ts-check
// A session that another one started, within its log: where it stands, and what it did when it is opened.

class ChildSession extends HTMLElement {
  connectedCallback() {
    const card = this.querySelector("details");
    card?.addEventListener("toggle", () => { if (card.open) void this.load(); });
    if (!this.hasAttribute("known")) void this.load();
  }

  /** Without an answer the link to the session is there still. */
  async load() {
    const [session, level, depth] = ["session", "level", "depth"].map((name) => this.getAttribute(name));
    const answer = await fetch(`/sessions/${session}/inside?level=${level}&depth=${depth}`).catch(() => null);
    const told = answer?.ok ? await answer.json().catch(() => null) : null;
    const [summary, contents] = [this.querySelector("summary"), this.querySelector(".contents")];
    if (!told || !summary || !contents) return;
    summary.innerHTML = told.summary;
    if (this.querySelector("details")?.open) contents.innerHTML = told.entries;
  }
}

customElements.define("child-session", ChildSession);
