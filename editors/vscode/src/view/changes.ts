import type { Change, FromView } from "../messages";
import { button, h } from "./dom";

/** The files that a session changed here, to be looked at one by one: kept, or undone. */
export function changes(found: Change[], send: (message: FromView) => void): HTMLElement | false {
  if (!found.length) return false;
  const files = found.map((one) => h("li", {}, [
    h("button", { type: "button", class: "link", title: "Show what changed" }, [one.path], { click: () => send({ type: "diff", path: one.path }) }),
    h("span", { class: "about" }, [` ${one.change} +${one.added} −${one.removed}`]),
    h("span", { class: "buttons" }, [
      h("button", { type: "button", "aria-label": `Keep ${one.path}` }, ["Keep"], { click: () => send({ type: "keep", path: one.path }) }),
      h("button", { type: "button", "aria-label": `Undo ${one.path}` }, ["Undo"], { click: () => send({ type: "undo", path: one.path }) }),
    ]),
  ]));
  return h("details", { class: "changes", open: true }, [
    h("summary", {}, [`${found.length} changed file${found.length > 1 ? "s" : ""} to look at`]),
    h("ul", { class: "rows" }, files),
    h("p", { class: "buttons" }, [
      button("Keep all", () => send({ type: "keep", path: null })),
      button("Undo all", () => send({ type: "undo", path: null })),
    ]),
  ]);
}
