import { LimitError, type LimitName } from "./limits";
import { cut, type Done } from "./protocol";
import type { Hands } from "./tools";

const TEXT_CHARACTERS = 4_000_000;
const COUNT_EVERY_MS = 500;
/** What the editor's own process has in its environment for itself, and what would ask the person in a window. */
const EDITORS = /^(VSCODE_|ELECTRON_|CODE_SERVER_)|^(GIT_ASKPASS|SSH_ASKPASS)$/i;

/** Of commands: the person's own, but nobody asks for anything, and nothing of the editor's process. */
export function environment(): NodeJS.ProcessEnv {
  const kept = Object.fromEntries(Object.entries(process.env).filter(([name]) => !EDITORS.test(name)));
  return { ...kept, GIT_TERMINAL_PROMPT: "0", PAGER: "cat", GIT_PAGER: "cat", TERM: "dumb" };
}

/** Runs a command where the person sees it, within the limits of the project that can be kept here. */
export async function command(hands: Hands, line: string, argv: string[], seconds: number, heading: (code: number | null) => string): Promise<Done> {
  const { call, usage, processes, output } = hands;
  const spent = usage.reached();
  if (spent) throw new LimitError(spent, usage.limits);
  const time = usage.shorter(seconds * 1_000);
  let text = "";
  let pressed = false;
  let reached: LimitName | undefined;
  const terminal = hands.editor.terminal(hands.subject, line, () => {
    pressed = true;
    void processes.kill(call);
  });
  const look = (name: LimitName | undefined): void => {
    if (!name || reached) return;
    reached = name;
    void processes.kill(call);
  };
  const most = usage.limits.processes;
  const counting = most == null ? undefined : setInterval(() => void processes.count().then((count) => look(count > most ? "processes" : undefined)), COUNT_EVERY_MS);
  const before = output.size;
  const counted = usage.begin(() => output.size - before);
  try {
    const ended = await processes.run(call, argv, {
      cwd: hands.folder, env: environment(), timeoutMs: time.ms,
      printed: (data) => {
        if (reached) return;
        output.write(data);
        look(usage.reached());
      },
      said: (words) => {
        terminal.write(words);
        if (text.length < TEXT_CHARACTERS) text += words;
      },
    });
    if (ended.timedOut) reached ??= time.name;
    const body = cut(text).trimEnd();
    if (reached) {
      const limit = new LimitError(reached, usage.limits);
      terminal.end(limit.message);
      return { outcome: "error", text: `${limit.message}\n${body}`.trimEnd(), limit: limit.reached };
    }
    terminal.end(ended.timedOut ? `Killed after ${seconds} seconds.` : ended.killed ? "Killed." : heading(ended.code));
    if (ended.timedOut) return { outcome: "timed_out", text: `Killed after ${seconds} seconds, with all that it started.\n${body}` };
    if (ended.killed) return { outcome: "cancelled", text: `Killed${pressed ? " by the person" : ""}.\n${body}`.trimEnd() };
    return { outcome: ended.code === 0 ? "ok" : "error", text: `${heading(ended.code)}\n${body}`.trimEnd(), exitCode: ended.code };
  } finally {
    clearInterval(counting);
    counted();
  }
}
