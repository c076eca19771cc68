import type { FromView, State, Tab } from "../messages";
import { button, h } from "./dom";

const FLOWS: [string, string][] = [
  ["software_development/v1", "Software Development"],
  ["developer/v1", "Developer"],
  ["fix_pipeline/v1", "Fix your CI/CD Pipeline"],
  ["code_review/v1", "Code Review"],
];

/** What a person has typed and not sent. */
const draft = { goal: "", message: "", flow: "software_development/v1", project: "", model: "" };
/** The draft that was sent; it stays until a session has begun, so that who got no answer can press again. */
let sent: "goal" | "message" | undefined;

/** A session is shown: if it is what was sent, there is nothing left of the draft. */
export function begun(): void {
  if (sent) draft[sent] = "";
  sent = undefined;
}

/** It was refused, or nobody answered: the draft is to be sent again. */
export function refused(): void {
  sent = undefined;
}

/** The form above a list: a flow with its goal, or the first message of a chat. */
export function start(state: State, tab: Tab, send: (message: FromView) => void): HTMLElement {
  const project = draft.project || state.project;
  const model = state.models.includes(draft.model) ? draft.model : (state.models[0] ?? "");
  const text = h("textarea", {
    id: `start-${tab}`, rows: "3",
    "aria-label": tab === "chat" ? "First message" : "Goal",
    placeholder: tab === "chat" ? "Ask about your code, or say what to do" : "What is to be done, and how you will see that it is",
  }, [], {
    input: (event) => {
      sent = undefined;
      draft[tab === "chat" ? "message" : "goal"] = (event.target as HTMLTextAreaElement).value;
    },
    keydown: (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey || (tab === "chat" && !event.shiftKey))) {
        event.preventDefault();
        go();
      }
    },
  });
  text.value = tab === "chat" ? draft.message : draft.goal;
  const go = (): void => {
    const words = text.value.trim();
    if (!words) return void text.focus();
    if (tab === "chat") send({ type: "startChat", text: words, project, model });
    else send({ type: "startFlow", flow: draft.flow, goal: words, project, model });
    sent = tab === "chat" ? "message" : "goal";
  };
  return h("form", { class: "start", "aria-label": tab === "chat" ? "New chat" : "Start a flow" }, [
    tab === "flows" && select("flow", "Flow", FLOWS, draft.flow, (value) => (draft.flow = value)),
    projects(state, project, tab),
    (state.models.length > 1 || model === "scripted") && select("model", "Model", state.models.map((name) => [name, named(name)]), model, (value) => (draft.model = value)),
    text,
    h("p", { class: "note" }, [where(state, project)]),
    h("p", { class: "buttons" }, [
      button(tab === "chat" ? "Send" : "Start", go, "primary"),
      state.elsewhere && button("Work here instead", () => send({ type: "workHere" })),
    ]),
  ], { submit: (event) => event.preventDefault() });
}

function named(model: string): string {
  return model === "scripted" ? "scripted: a script answers, no model" : model;
}

function where(state: State, project: string): string {
  if (!project) return "Without a project it has no files and no commands.";
  if (state.here !== null && !state.work) return `It works in this folder, ${state.folder}, and asks before it changes something.`;
  return `It works on a runner. ${state.work}`;
}

function projects(state: State, project: string, tab: Tab): HTMLElement | false {
  if (state.projects.length < 2 && tab === "flows") return false;
  const named = state.projects.map((path): [string, string] => [path, path]);
  const offered: [string, string][] = tab === "chat" ? [["", "No project"], ...named] : named;
  if (!project && tab === "flows") draft.project = state.projects[0] ?? "";
  return select("project", "Project", offered, project, (value) => (draft.project = value));
}

function select(id: string, label: string, offered: [string, string][], chosen: string, pick: (value: string) => void): HTMLElement {
  const options = offered.map(([value, words]) => h("option", { value, selected: value === chosen }, [words]));
  const change = (event: Event): void => pick((event.target as HTMLSelectElement).value);
  return h("label", {}, [label, h("select", { id: `${id}-select` }, options, { change })]);
}
