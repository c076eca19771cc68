import type { FromView, State, Tab } from "../messages";
import { button, h } from "./dom";

const FLOWS: [string, string][] = [
  ["software_development/v1", "Software Development"],
  ["developer/v1", "Developer"],
  ["fix_pipeline/v1", "Fix your CI/CD Pipeline"],
  ["code_review/v1", "Code Review"],
];

/** What a person has typed and not sent. */
const draft = { goal: "", message: "", flow: "software_development/v1", project: "" };

/** The form above a list: a flow with its goal, or the first message of a chat. */
export function start(state: State, tab: Tab, send: (message: FromView) => void): HTMLElement {
  const project = draft.project || state.project;
  const text = h("textarea", {
    id: `start-${tab}`, rows: "3",
    "aria-label": tab === "chat" ? "First message" : "Goal",
    placeholder: tab === "chat" ? "Ask about your code, or say what to do" : "What is to be done, and how you will see that it is",
  }, [], {
    input: (event) => (draft[tab === "chat" ? "message" : "goal"] = (event.target as HTMLTextAreaElement).value),
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
    if (tab === "chat") send({ type: "startChat", text: words, project });
    else send({ type: "startFlow", flow: draft.flow, goal: words, project });
    draft[tab === "chat" ? "message" : "goal"] = "";
  };
  return h("form", { class: "start", "aria-label": tab === "chat" ? "New chat" : "Start a flow" }, [
    tab === "flows" && select("flow", "Flow", FLOWS, draft.flow, (value) => (draft.flow = value)),
    projects(state, project, tab),
    text,
    h("p", { class: "buttons" }, [button(tab === "chat" ? "Send" : "Start", go, "primary")]),
  ], { submit: (event) => event.preventDefault() });
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
