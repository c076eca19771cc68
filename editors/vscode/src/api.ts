/** The server's API: requests of JSON, and streams that come again by themselves. */
import { randomBytes } from "node:crypto";

/** What the server said was wrong, in a sentence for people. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export interface Waiting {
  on: string;
  detail: string;
}

/** A session in a list. */
export interface SessionRow {
  id: number;
  title: string;
  flow: string;
  origin: string;
  status: string;
  status_group: string;
  needs_me: boolean;
  last_activity: string;
  project_path: string;
  ended_at: string | null;
}

/** Some sessions; `next` is the cursor of those behind them. */
export interface SessionPage {
  items: SessionRow[];
  next: string | null;
}

export interface Approval {
  id: string;
  ask: "tool_call" | "plan" | "input";
  question: string;
  choices: string[];
  calls: { call_id: string; tool: string; args: Record<string, unknown> }[];
}

/** A session as it stands. */
export interface Session extends SessionRow {
  goal: string;
  model: string;
  reason: string;
  waiting_for: Waiting | null;
  approvals: Approval[];
  plan: { text: string; status: string }[];
  editor: { id: number; name: string; kind: string; folder: string } | null;
  seq: number;
  url: string;
}

/** An entry of a log, as all doors read it; text only. */
export interface Entry {
  seq: number;
  level: "result" | "concise" | "full";
  kind: string;
  head: string;
  look: string;
  words: string;
  verbatim: string;
  call_id: string;
}

export interface Message {
  event: string;
  data: string;
  id: string;
}

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 10_000;
/** The server sends a comment every 15 seconds; after so long without anything the connection is dead. */
const SILENCE_MS = 45_000;

/** One server, for one person. */
export class Api {
  /** Of what was asked for and never answered: the same asked again is the same to the server. */
  private readonly unanswered = new Map<string, string>();

  constructor(
    readonly server: string,
    private readonly token: string,
  ) {}

  async get<T>(path: string): Promise<T> {
    return this.asked<T>("GET", path);
  }

  async post<T>(path: string, body: unknown): Promise<T> {
    return this.asked<T>("POST", path, body);
  }

  /** Makes something, once: asked for again after an answer that was lost, it is the one that was made. */
  async make<T>(path: string, body: unknown): Promise<T> {
    const what = JSON.stringify([path, body]);
    const key = this.unanswered.get(what) ?? randomBytes(16).toString("hex");
    this.unanswered.set(what, key);
    try {
      const made = await this.asked<T>("POST", path, body, key);
      this.unanswered.delete(what);
      return made;
    } catch (error) {
      if (error instanceof ApiError && error.status > 0 && error.status < 500) this.unanswered.delete(what);
      throw error;
    }
  }

  async delete(path: string): Promise<void> {
    await this.asked<unknown>("DELETE", path);
  }

  /** Calls `take` with each event, and connects anew behind the last until `signal` is aborted or `take` answers false. */
  async follow(path: string, take: (message: Message) => boolean, away: (why: string) => void, signal: AbortSignal): Promise<void> {
    let last = "";
    let pause = FIRST_PAUSE_MS;
    while (!signal.aborted) {
      try {
        for await (const message of this.stream(path, last, signal)) {
          pause = FIRST_PAUSE_MS;
          last = message.id || last;
          if (message.event === "error") {
            const problem = JSON.parse(message.data) as { status: number; code: string; detail: string };
            throw new ApiError(problem.status, problem.code, problem.detail);
          }
          if (!take(message)) return;
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && error.status < 500) throw error;
        away(error instanceof Error ? error.message : String(error));
      }
      await new Promise((done) => setTimeout(done, pause));
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    }
  }

  private async *stream(path: string, last: string, signal: AbortSignal): AsyncGenerator<Message> {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE_MS);
    const headers = { ...this.headers(), Accept: "text/event-stream", ...(last ? { "Last-Event-ID": last } : {}) };
    try {
      const either = AbortSignal.any([signal, silence.signal]);
      const response = await fetch(`${this.server}/api/v1${path}`, { headers, signal: either });
      if (!response.ok || !response.body) throw await problem(response);
      let rest = "";
      const decoder = new TextDecoder();
      for await (const chunk of response.body) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
        const blocks = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split("\n\n");
        rest = blocks.pop() ?? "";
        for (const block of blocks) {
          const message = parsed(block);
          if (message) yield message;
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }

  private async asked<T>(method: string, path: string, body?: unknown, key?: string): Promise<T> {
    let response: Response;
    try {
      response = await fetch(`${this.server}/api/v1${path}`, {
        method,
        headers: {
          ...this.headers(),
          ...(body === undefined ? {} : { "Content-Type": "application/json" }),
          ...(key ? { "Idempotency-Key": key } : {}),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch {
      throw new ApiError(0, "unreachable", `No server answers at ${this.server}. Is it running?`);
    }
    if (!response.ok) throw await problem(response);
    return (response.status === 204 ? undefined : await response.json()) as T;
  }

  private headers(): Record<string, string> {
    return { Authorization: `Bearer ${this.token}`, "User-Agent": "quarterdeck-vscode" };
  }
}

async function problem(response: Response): Promise<ApiError> {
  const told = (await response.json().catch(() => ({}))) as { code?: string; detail?: string; title?: string };
  return new ApiError(response.status, told.code ?? "", told.detail ?? told.title ?? `The server answered ${response.status}.`);
}

function parsed(block: string): Message | undefined {
  const message: Message = { event: "", data: "", id: "" };
  for (const line of block.split("\n")) {
    const at = line.indexOf(": ");
    const name = line.slice(0, at);
    if (at > 0 && (name === "event" || name === "data" || name === "id")) message[name] += line.slice(at + 2);
  }
  return message.data ? message : undefined;
}
