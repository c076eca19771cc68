import type { Approval, Entry, Session } from "../api";
import type { Detail, FromView, State } from "../messages";
import { changes } from "./changes";
import { button, h, replace } from "./dom";
import { FINAL, STATUSES } from "./statuses";

const SHOWN: Record<Detail, Set<string>> = {
  concise: new Set(["result", "concise"]),
  full: new Set(["result", "concise", "full"]),
};
const NEAR_END_PX = 60;

/** The session that is open: its header, its log, what it asks, and a line to write in. */
export class SessionView {
  readonly element = h("article", { class: "session" });
  private readonly header = h("header", {});
  private readonly log = h("div", { class: "log", role: "log", "aria-label": "What happened", tabindex: "0" });
  private readonly partial = h("div", { class: "entry said partial", hidden: true });
  private readonly changes = h("div", {});
  private readonly asks = h("div", { class: "asks", "aria-live": "polite" });
  private readonly text: HTMLTextAreaElement;
  private readonly composer: HTMLElement;
  private entries: Entry[] = [];
  private detail: Detail = "concise";
  private asked = "";
  private drawn = "";
  private here: number | null = null;
  private changed = "";

  constructor(private readonly send: (message: FromView) => void) {
    this.text = h("textarea", { id: "say", rows: "2", "aria-label": "Message", placeholder: "Say something to the session" }, [], {
      keydown: (event) => {
        if (event.key === "Enter" && !event.shiftKey) {
          event.preventDefault();
          this.say();
        }
      },
    });
    this.composer = h("div", { class: "composer" }, [this.text, button("Send", () => this.say(), "primary")]);
    this.element.append(this.header, this.changes, this.log, this.asks, this.composer);
    this.log.append(this.partial);
  }

  /** Another session. */
  begin(): void {
    this.entries = [];
    this.asked = this.drawn = this.changed = "";
    replace(this.changes);
    replace(this.header);
    replace(this.asks);
    replace(this.log, this.partial);
    this.partial.hidden = true;
  }

  add(entries: Entry[]): void {
    const atEnd = this.atEnd();
    const known = this.entries.at(-1)?.seq ?? 0;
    for (const entry of entries.filter((one) => one.seq > known)) {
      this.entries.push(entry);
      if (SHOWN[this.detail].has(entry.level)) this.partial.before(drawn(entry));
    }
    if (atEnd) this.toEnd();
  }

  write(text: string): void {
    const atEnd = this.atEnd();
    this.partial.textContent = text;
    this.partial.hidden = !text;
    if (atEnd) this.toEnd();
  }

  show(session: Session, state: State): void {
    const now = JSON.stringify([state.here, session.status, session.title, session.reason, session.waiting_for, session.plan, session.editor]);
    if (now !== this.drawn) {
      this.drawn = now;
      this.here = state.here;
      replace(this.header, ...this.head(session, state.here));
    }
    const changed = JSON.stringify(state.changes);
    if (changed !== this.changed) {
      this.changed = changed;
      replace(this.changes, changes(state.changes, this.send));
    }
    const asked = JSON.stringify(session.approvals);
    if (asked !== this.asked) {
      this.asked = asked;
      replace(this.asks, ...session.approvals.map((one) => this.question(one)));
      this.toEnd();
    }
    this.composer.hidden = FINAL.has(session.status);
  }

  private say(): void {
    const text = this.text.value.trim();
    if (!text) return;
    this.send({ type: "say", text });
    this.text.value = "";
  }

  private head(session: Session, here: number | null): HTMLElement[] {
    const status = STATUSES[session.status] ?? { sign: "·", words: session.status, look: "" };
    const ended = FINAL.has(session.status);
    const running = session.status === "running" || session.status === "created";
    const waits = session.waiting_for && running ? `Waits for ${session.waiting_for.on}: ${session.waiting_for.detail}` : "";
    const why = session.reason || waits;
    const where = session.editor ? `${session.editor.name}, ${session.editor.folder}` : "on a runner";
    return [
      h("p", { class: "buttons" }, [
        button("← All", () => this.send({ type: "close" })),
        button(this.detail === "full" ? "Concise" : "Full", () => this.change(session)),
        button("In the browser", () => this.send({ type: "browser" })),
      ]),
      h("h2", {}, [session.title]),
      h("p", { class: "about" }, [
        h("span", { class: `sign ${status.look}`, "aria-hidden": "true" }, [status.sign]),
        h("strong", { id: "status" }, [status.words]),
        ` · #${session.id} · ${session.flow} · ${where}`,
      ]),
      ...(why ? [h("p", { class: "note" }, [why])] : []),
      ...(session.plan.length ? [plan(session)] : []),
      h("p", { class: "buttons" }, [
        running && (session.origin === "chat"
          ? button("Stop the answer", () => this.send({ type: "act", verb: "interrupt" }))
          : button("Pause", () => this.send({ type: "act", verb: "pause" }))),
        session.status === "paused" && button("Resume", () => this.send({ type: "act", verb: "resume" })),
        button("New session from here", () => this.send({ type: "fork" })),
        !ended && here !== null && session.project_path !== "" && session.editor?.id !== here && button("Take up here", () => this.send({ type: "handOver", here: true })),
        !ended && session.editor !== null && button("Hand over to a runner", () => this.send({ type: "handOver", here: false })),
        !ended && button("Cancel session", () => this.send({ type: "cancel" }), "danger"),
        button("Delete session", () => this.send({ type: "delete" }), "danger"),
      ]),
    ];
  }

  private change(session: Session): void {
    this.detail = this.detail === "full" ? "concise" : "full";
    const shown = this.entries.filter((entry) => SHOWN[this.detail].has(entry.level));
    replace(this.log, ...shown.map(drawn), this.partial);
    replace(this.header, ...this.head(session, this.here));
    this.toEnd();
  }

  private question(asked: Approval): HTMLElement {
    const reason = h("input", { id: `reason-${asked.id}`, type: "text", "aria-label": "Why not, or what to change", placeholder: "Why not, or what to change" });
    const [call, ...others] = asked.calls;
    const words = others.length ? `May it make these ${asked.calls.length} calls?` : `May it use ${call?.tool ?? ""}?`;
    const grant = (forSession: boolean): void => this.send({ type: "approve", approval: asked.id, forSession });
    const deny = button("Deny", () => this.send({ type: "deny", approval: asked.id, reason: reason.value }));
    const choices = asked.choices.map((words) => button(words, () => this.send({ type: "say", text: words })));
    return h("section", { class: "ask", "aria-label": "It asks you" }, [
      h("p", {}, [asked.ask === "tool_call" && call ? words : asked.question]),
      ...asked.calls.flatMap((one) => [others.length > 0 && h("h3", {}, [one.tool]), h("pre", {}, [told(one.args)])]),
      asked.ask === "input"
        ? h("p", { class: "buttons" }, choices)
        : h("p", { class: "buttons" }, [
            button(asked.ask === "plan" ? "Approve" : "Allow once", () => grant(false), "primary"),
            asked.ask === "tool_call" && button("Allow for this session", () => grant(true)),
            deny,
            reason,
          ]),
    ]);
  }

  private atEnd(): boolean {
    return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < NEAR_END_PX;
  }

  private toEnd(): void {
    this.log.scrollTop = this.log.scrollHeight;
  }
}

function plan(session: Session): HTMLElement {
  const signs: Record<string, string> = { completed: "✓", in_progress: "●", cancelled: "✕" };
  const items = session.plan.map((item) => h("li", { class: item.status }, [`${signs[item.status] ?? "○"} ${item.text}`]));
  const done = session.plan.filter((item) => item.status === "completed").length;
  return h("details", { class: "plan" }, [h("summary", {}, [`Plan, ${done} of ${items.length} done`]), h("ul", {}, items)]);
}

function drawn(entry: Entry): HTMLElement {
  const long = entry.verbatim.length > 0;
  return h("div", { class: `entry ${entry.look}`, "data-seq": String(entry.seq) }, [
    long
      ? h("details", {}, [h("summary", {}, [entry.head]), h("pre", {}, [entry.verbatim])])
      : h("p", { class: "head" }, [entry.head]),
    entry.words ? h("div", { class: "words" }, [entry.words]) : null,
  ]);
}

function told(args: Record<string, unknown>): string {
  return Object.entries(args)
    .map(([name, value]) => (typeof value === "string" ? `${name}: ${value}` : `${name}: ${JSON.stringify(value)}`))
    .join("\n");
}
