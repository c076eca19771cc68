import type { SessionRow } from "../api";
import type { FromView, Shown, State, Tab } from "../messages";
import { ago, button, h } from "./dom";
import { FINAL, STATUSES } from "./statuses";

/** Who types is not asked about each letter. */
const TYPING_MS = 250;
/** What a person typed and picked in the list, which stays when it is made anew. */
export const choice = { text: "", shown: "all" as Shown };
let typing: ReturnType<typeof setTimeout> | undefined;

/** The sessions of a tab: what needs you, what goes on, and what has ended, by days. */
export function list(state: State, tab: Tab, send: (message: FromView) => void): HTMLElement {
  const rows = state.rows.filter((row) => (row.origin === "chat") === (tab === "chat"));
  const narrow = (): void => send({ type: "narrow", text: choice.text, shown: choice.shown });
  const groups = new Map<string, SessionRow[]>();
  for (const row of rows) {
    const name = group(row);
    groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  const search = h("input", { id: "search", type: "search", placeholder: "Search", "aria-label": "Search", value: choice.text }, [], {
    input: (event) => {
      choice.text = (event.target as HTMLInputElement).value;
      clearTimeout(typing);
      typing = setTimeout(narrow, TYPING_MS);
    },
  });
  const filter = h("select", { id: "shown", "aria-label": "Which sessions" }, [
    h("option", { value: "all", selected: choice.shown === "all" }, ["All of yours"]),
    state.here !== null && h("option", { value: "folder", selected: choice.shown === "folder" }, ["In this folder"]),
    state.project !== "" && h("option", { value: "project", selected: choice.shown === "project" }, [`Of ${state.project}`]),
  ], {
    change: (event) => {
      choice.shown = (event.target as HTMLSelectElement).value as Shown;
      narrow();
    },
  });
  return h("section", { "aria-label": tab === "chat" ? "Chat history" : "Sessions" }, [
    h("h2", {}, [tab === "chat" ? "History" : "Sessions"]),
    h("div", { class: "tools" }, [search, filter]),
    ...(rows.length ? [...groups].map(([name, some]) => part(name, some, send)) : [empty(tab)]),
    state.more && h("p", { class: "buttons" }, [button("Show older", () => send({ type: "older" }))]),
  ]);
}

function group(row: SessionRow): string {
  if (row.needs_me) return "Needs you";
  if (!FINAL.has(row.status)) return "Going on";
  const day = new Date(row.last_activity).toDateString();
  if (day === new Date().toDateString()) return "Today";
  return day === new Date(Date.now() - 86_400_000).toDateString() ? "Yesterday" : "Earlier";
}

function part(name: string, rows: SessionRow[], send: (message: FromView) => void): HTMLElement {
  return h("div", { class: "group" }, [
    h("h3", {}, [name]),
    h("ul", { class: "rows" }, rows.map((row) => h("li", {}, [line(row, send)]))),
  ]);
}

function line(row: SessionRow, send: (message: FromView) => void): HTMLElement {
  const status = STATUSES[row.status] ?? { sign: "·", words: row.status, look: "" };
  return h("button", { type: "button", class: "row", id: `row-${row.id}` }, [
    h("span", { class: `sign ${status.look}`, "aria-hidden": "true" }, [status.sign]),
    h("span", { class: "title" }, [row.title]),
    h("span", { class: "about" }, [`#${row.id} · ${status.words} · ${ago(row.last_activity)}`]),
  ], { click: () => send({ type: "open", id: row.id }) });
}

function empty(tab: Tab): HTMLElement {
  if (choice.text || choice.shown !== "all") return h("p", { class: "note" }, ["Nothing fits. Search for other words, or show all of yours."]);
  return h("p", { class: "note" }, [tab === "chat" ? "No chat yet. Write the first message above." : "No session yet. Start a flow above."]);
}

/** What a person sees before they are signed in. */
export function welcome(state: State, send: (message: FromView) => void): HTMLElement {
  return h("section", { class: "welcome" }, [
    h("h2", {}, ["Your sessions, where you write code"]),
    h("p", {}, [`Sign in to the server at ${state.server} to start agents and flows here, watch them, answer and stop them.`]),
    h("p", { class: "buttons" }, [
      button("Sign in", () => send({ type: "signIn" }), "primary"),
      button("Use a token", () => send({ type: "signInWithToken" })),
    ]),
    h("p", { class: "note" }, ["Another server? Change the setting quarterdeck.serverUrl."]),
  ]);
}
