// @ts-check
// Lines of what was printed: a link to each by its number, a button that copies all of them, and how they are shown.

const SAID_MS = 2000;
const tab = document.getElementById("tab");
const copy = Object.assign(document.createElement("button"), { type: "button", className: "copy" });
copy.textContent = tab?.dataset.copy ?? "";

/** The text of a block without the button in it. @param {Element} block */
const textOf = (block) => [...block.childNodes].filter((node) => node !== copy).map((node) => node.textContent).join("");

/** @param {Event} event */
function offer(event) {
  const block = event.target instanceof Element ? event.target.closest("pre") : null;
  if (!block || !tab?.contains(block) || copy.parentNode === block || copy === document.activeElement) return;
  block.prepend(copy);
}

/** Where the page is not secure there is no clipboard, but the old command. @param {string} text */
async function toClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = Object.assign(document.createElement("textarea"), { value: text });
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
  copy.focus();
}

if (tab) {
  tab.addEventListener("pointerover", offer);
  tab.addEventListener("focusin", offer);
  tab.addEventListener("click", (event) => {
    const at = /** @type {HTMLElement} */ (event.target);
    const line = at.closest(".l");
    if (!line?.id || event.clientX - line.getBoundingClientRect().left > parseFloat(getComputedStyle(line).paddingInlineStart)) return;
    location.hash = line.id;
  });
}
copy.addEventListener("click", async () => {
  if (!copy.parentElement) return;
  await toClipboard(textOf(copy.parentElement));
  copy.textContent = tab?.dataset.copied ?? "";
  setTimeout(() => { copy.textContent = tab?.dataset.copy ?? ""; }, SAID_MS);
});

/** How a log is shown: at once, and in this browser from here on. */
class LogLook extends HTMLElement {
  connectedCallback() {
    const form = this.querySelector("form");
    const button = form?.querySelector("button");
    if (!form || !button) return;
    button.hidden = true;
    form.addEventListener("change", () => {
      const chosen = new FormData(form);
      if (tab) tab.className = `times-${chosen.get("times")}${chosen.has("wrap") ? "" : " nowrap"}`;
      void fetch(form.action, { method: "POST", body: new URLSearchParams(/** @type {any} */ (chosen)), headers: { Accept: "application/json" } });
    });
  }
}

customElements.define("log-look", LogLook);
