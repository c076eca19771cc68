// @ts-check
// Forms that are sent without leaving the page, and dialogs that ask before one is.

const OF_PAGE = ["#session-waiting section", "#session-header h1"];
const OF_CHAT = ["[data-part='waiting'] section", "#talk-text", ".talk-log"];

/**
 * Where the focus goes on when what had it is gone: to the same control as it is now, else to the next question or the
 * title, in a chat to where one writes; never to a button that decides something else.
 * @param {string} id @param {Element | null} chat the one that it was in
 */
export function refocus(id, chat) {
  const same = id ? [`#${CSS.escape(id)}`] : [];
  const places = [...same, ...(chat ? OF_CHAT : OF_PAGE)].map((one) => (chat ?? document).querySelector(one));
  const next = /** @type {HTMLElement | undefined} */ (places.find((one) => one));
  if (next && next.tabIndex < 0) next.tabIndex = -1; // which makes a place focusable that isn't by itself
  next?.focus({ preventScroll: true });
}

/** Puts new HTML into a part; what was typed and opened in it stays, and so does the focus. @param {Element} place @param {string} html */
export function replace(place, html) {
  const focused = place.contains(document.activeElement) ? document.activeElement : null;
  const fields = /** @type {NodeListOf<HTMLInputElement>} */ (place.querySelectorAll("textarea, input:not([type='hidden'])"));
  const opened = place.querySelectorAll("details[open][id]");
  place.innerHTML = html;
  const fresh = (/** @type {Element} */ { id }) => (id ? place.querySelector(`#${CSS.escape(id)}`) : null);
  for (const one of opened) fresh(one)?.setAttribute("open", "");
  for (const before of fields) {
    const field = /** @type {HTMLInputElement | null} */ (fresh(before));
    if (!field || before.value === before.defaultValue) continue;
    field.value = before.value;
    field.setSelectionRange(before.selectionStart, before.selectionEnd);
  }
  if (focused) refocus(focused.id, place.closest("chat-talk"));
}

/** Sends its form; what comes of it comes by the page's stream. Without a stream the page is loaded again. */
class LiveForm extends HTMLElement {
  connectedCallback() { this.addEventListener("submit", (event) => void this.send(event)); }

  /** @param {SubmitEvent} event */
  async send(event) {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    const chat = this.closest("chat-talk");
    const body = new URLSearchParams(/** @type {any} */ (new FormData(form, event.submitter)));
    const buttons = form.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    const said = await this.post(form.action, body);
    for (const button of buttons) button.disabled = false;
    // The stream may have replaced the form meanwhile; its fields have the same ids.
    const ids = /** @type {HTMLElement[]} */ ([...form.elements]).map(({ id }) => id).filter(Boolean);
    const fields = /** @type {HTMLInputElement[]} */ (ids.map((id) => document.getElementById(id)).filter(Boolean));
    const here = form.isConnected ? form : fields[0]?.form ?? form;
    if (document.activeElement === document.body) refocus(event.submitter?.id ?? "", chat);
    here.querySelector(".problem")?.remove();
    if (said) {
      const problem = Object.assign(document.createElement("p"), { className: "problem", textContent: said });
      problem.setAttribute("role", "alert");
      here.append(problem);
      return;
    }
    here.dispatchEvent(new Event("sent", { bubbles: true }));
    if (here.closest("chat-talk") ?? document.querySelector("session-log:not([over], [cut]), chat-talk[alone]:not([over])")) {
      // What was typed in the meantime is not what was sent.
      for (const field of fields) if ("defaultValue" in field && field.value === body.get(field.name)) field.value = field.defaultValue;
    } else location.reload();
  }

  /** What went wrong, empty if nothing did. @param {string} url @param {URLSearchParams} body */
  async post(url, body) {
    try {
      const answer = await fetch(url, { method: "POST", body, headers: { Accept: "application/json" } });
      return answer.ok ? "" : (await answer.json()).detail;
    } catch (error) {
      return String(error);
    }
  }
}

/** Opens a dialog instead of going to the page that asks the same. */
class OpenDialog extends HTMLElement {
  connectedCallback() {
    this.addEventListener("submit", (event) => {
      event.preventDefault();
      /** @type {HTMLDialogElement | null} */ (document.getElementById(this.getAttribute("for") ?? ""))?.showModal();
    });
  }
}

customElements.define("live-form", LiveForm);
customElements.define("open-dialog", OpenDialog);
