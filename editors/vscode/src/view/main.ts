import type { FromView, State, Tab, ToView } from "../messages";
import { h, replace } from "./dom";
import { list, welcome } from "./list";
import { SessionView } from "./session";
import { begun, refused, start } from "./start";

declare function acquireVsCodeApi(): { postMessage(message: FromView): void; getState(): { tab?: Tab } | undefined; setState(state: { tab: Tab }): void };

const editor = acquireVsCodeApi();
const send = (message: FromView): void => editor.postMessage(message);
const TABS: [Tab, string][] = [["chat", "Chat"], ["flows", "Flows"]];
const main = document.getElementById("main") as HTMLElement;
const tabs = h("div", { role: "tablist", class: "tabs" });
const fault = h("p", { class: "fault", role: "alert" });
const away = h("p", { class: "note", role: "status" });
const panel = h("div", { id: "panel", role: "tabpanel", class: "panel" });
const session = new SessionView(send);
let tab: Tab = editor.getState()?.tab ?? "flows";
let state: State | undefined;
let open: number | undefined;
/** The session whose tab was gone to. */
let shown: number | undefined;

main.append(tabs, fault, away, panel);

function pick(to: Tab): void {
  tab = to;
  editor.setState({ tab });
  draw();
}

function draw(): void {
  if (!state) return;
  replace(tabs, ...TABS.map(([name, words]) => h("button", {
    type: "button", role: "tab", id: `tab-${name}`, "aria-selected": String(tab === name), "aria-controls": "panel",
    tabindex: tab === name ? "0" : "-1",
  }, [words + count(name)], { click: () => pick(name), keydown: (event) => turn(event) })));
  panel.setAttribute("aria-labelledby", `tab-${tab}`);
  tabs.hidden = !state.signedIn;
  fault.textContent = state.fault;
  away.textContent = state.away ? `No news just now: ${state.away}` : "";
  if (!state.signedIn) replace(panel, welcome(state, send));
  else if (open !== undefined) {
    if (panel.firstChild !== session.element) replace(panel, session.element);
    if (state.session?.id === open) session.show(state.session, state);
  } else replace(panel, start(state, tab, send), list(state, tab, send));
}

function count(name: Tab): string {
  const many = state?.needing.filter((row) => (row.origin === "chat") === (name === "chat")).length ?? 0;
  return many ? ` (${many})` : "";
}

function turn(event: KeyboardEvent): void {
  if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
  pick(tab === "chat" ? "flows" : "chat");
  document.getElementById(`tab-${tab}`)?.focus();
}

window.addEventListener("message", (event: MessageEvent<ToView>) => {
  const told = event.data;
  switch (told.type) {
    case "state":
      state = told.state;
      if (state.fault) refused();
      if (open !== undefined && state.session?.id === open && shown !== open) {
        shown = open;
        tab = state.session.origin === "chat" ? "chat" : "flows";
        editor.setState({ tab });
      }

      draw();
      break;
    case "begin":
      open = told.id;
      begun();
      session.begin();
      draw();
      break;
    case "end":
      open = shown = undefined;
      draw();
      break;
    case "entries":
      if (told.id === open) session.add(told.entries);
      break;
    case "partial":
      if (told.id === open) session.write(told.text);
      break;
    case "show":
      pick(told.tab);
  }
});

setInterval(() => {
  if (open === undefined && !(document.activeElement instanceof HTMLTextAreaElement)) draw(); // the ages of what is listed
}, 60_000);
send({ type: "ready" });
