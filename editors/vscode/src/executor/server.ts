import { readFile, writeFile } from "node:fs/promises";
import { pause, type Result, type SnapshotReport } from "./protocol";

/** The lease is another's, or nobody's: kill and forget. */
export class LostError extends Error {}
/** The server will never take this. */
export class RefusedError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly expected?: number,
  ) {
    super(message);
  }
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
const LOST = new Set(["fenced", "session_gone", "not_found"]);

/** The executor's side of the API: whatever is reported is said again until the server has it. */
export class Server {
  constructor(
    readonly url: string,
    private readonly token: string,
    private readonly over: AbortSignal,
    private readonly dropMs: number,
  ) {}

  /** The same server for as long as a signal is not given, too. */
  until(signal: AbortSignal): Server {
    return new Server(this.url, this.token, AbortSignal.any([this.over, signal]), this.dropMs);
  }

  async hello(said: object): Promise<{ runner: number; wipe: string[] }> {
    return (await this.asked("POST", "/hello", JSON.stringify(said))) as { runner: number; wipe: string[] };
  }

  /** Asked once, and not for long: the next comes soon. */
  async heartbeat(said: object): Promise<{ lost: string[] }> {
    return (await this.once("POST", "/heartbeat", JSON.stringify(said), false, this.dropMs / 3)) as { lost: string[] };
  }

  async started(call: string, turn_no: number, lease_epoch: number): Promise<void> {
    await this.asked("POST", `/calls/${call}/started`, JSON.stringify({ turn_no, lease_epoch }));
  }

  async result(call: string, result: Result): Promise<void> {
    await this.asked("POST", `/calls/${call}/result`, JSON.stringify(result));
  }

  /** How many bytes of the output the server has now. */
  async output(call: string, epoch: number, offset: number, data: Uint8Array): Promise<number> {
    try {
      const answer = await this.asked("POST", `/calls/${call}/output?epoch=${epoch}&offset=${offset}`, data);
      return (answer as { next_offset: number }).next_offset;
    } catch (error) {
      if (error instanceof RefusedError && error.expected !== undefined) return error.expected;
      throw error;
    }
  }

  async prepared(subject: string, epoch: number, base: string, notes: string[], ms: number, start: SnapshotReport | null): Promise<void> {
    const said = { lease_epoch: epoch, base_commit: base, isolation: "none", duration_ms: ms, notes, start };
    await this.asked("POST", `/subjects/${subject}/prepared`, JSON.stringify(said));
  }

  async teardown(subject: string, said: object): Promise<void> {
    await this.asked("POST", `/subjects/${subject}/teardown`, JSON.stringify(said));
  }

  async upload(subject: string, epoch: number, data: Uint8Array | string): Promise<number> {
    const body = typeof data === "string" ? await readFile(data) : data;
    return ((await this.asked("POST", `/subjects/${subject}/blobs?epoch=${epoch}`, body)) as { blob: number }).blob;
  }

  async download(subject: string, blob: number, target: string): Promise<void> {
    await writeFile(target, (await this.asked("GET", `/subjects/${subject}/blobs/${blob}`, undefined, true)) as Uint8Array);
  }

  async push(call: string, epoch: number, branch: string, commit: string, bundle: string): Promise<void> {
    const query = new URLSearchParams({ epoch: String(epoch), branch, commit });
    await this.asked("POST", `/calls/${call}/push?${query.toString()}`, await readFile(bundle));
  }

  /** Events of the stream, until it breaks or nothing came for 45 seconds. */
  async *stream(runner: number): AsyncGenerator<{ event: string; data: string }> {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), this.dropMs);
    try {
      const signal = AbortSignal.any([this.over, silence.signal]);
      const response = await fetch(this.address(`/stream?runner=${runner}`), { headers: this.headers(), signal });
      if (!response.ok || !response.body) throw await fault(response);
      yield { event: "open", data: "" };
      let rest = "";
      const decoder = new TextDecoder();
      for await (const chunk of response.body) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), this.dropMs);
        const blocks = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split("\n\n");
        rest = blocks.pop() ?? "";
        for (const block of blocks) {
          const event = /^event: (.*)$/m.exec(block)?.[1];
          const data = /^data: (.*)$/m.exec(block)?.[1];
          if (event && data) yield { event, data };
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Asks until the server answers. Throws LostError and RefusedError. */
  private async asked(method: string, path: string, body?: string | Uint8Array, raw = false): Promise<unknown> {
    for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(2 * wait, LONGEST_PAUSE_MS)) {
      try {
        return await this.once(method, path, body, raw);
      } catch (error) {
        if (error instanceof LostError || error instanceof RefusedError || this.over.aborted) throw error;
      }
      await pause(wait, this.over);
    }
  }

  private async once(method: string, path: string, body?: string | Uint8Array, raw = false, timeoutMs = this.dropMs): Promise<unknown> {
    const headers = { ...this.headers(), ...(typeof body === "string" ? { "Content-Type": "application/json" } : {}) };
    const signal = AbortSignal.any([this.over, AbortSignal.timeout(timeoutMs)]);
    const response = await fetch(this.address(path), { method, headers, signal, ...(body === undefined ? {} : { body: body as BodyInit }) });
    if (!response.ok) throw await fault(response);
    if (response.status === 204) return undefined;
    return raw ? new Uint8Array(await response.arrayBuffer()) : response.json();
  }

  private address(path: string): string {
    return `${this.url}/api/v1/executor${path}`;
  }

  private headers(): Record<string, string> {
    return { Authorization: `Bearer ${this.token}` };
  }
}

async function fault(response: Response): Promise<Error> {
  const told = (await response.json().catch(() => ({}))) as { code?: string; detail?: string; expected?: number };
  const words = told.detail ?? `The server answered ${response.status}.`;
  if (response.status >= 500 || response.status === 429) return new Error(words);
  return response.status === 410 || LOST.has(told.code ?? "") ? new LostError(words) : new RefusedError(response.status, words, told.expected);
}

