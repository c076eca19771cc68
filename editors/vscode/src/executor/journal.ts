import { appendFileSync, closeSync, constants, existsSync, fsyncSync, openSync, readFileSync, renameSync } from "node:fs";
import { dirname } from "node:path";
import type { Used } from "./limits";
import type { Leader } from "./processes";
import type { Offer, Result } from "./protocol";

/** What is known of one call. */
export interface Record {
  offer: Offer;
  /** The first process of its command. */
  leader?: Leader;
  result?: Result;
  told?: boolean;
}

type Line =
  | { entry: "begun"; offer: Offer }
  | { entry: "runs"; call_id: string; leader: Leader }
  | { entry: "ended"; call_id: string; result: Result }
  | { entry: "told"; call_id: string }
  | { entry: "wiped"; subject: string };

/** The executor's own record of calls: on disk, synced, before a call starts and after it ends, so none is done twice. */
export class Journal {
  readonly records = new Map<string, Record>();
  private readonly file: number;
  private closed = false;

  constructor(path: string) {
    if (existsSync(path)) {
      for (const line of readFileSync(path, "utf8").split("\n")) this.take(line);
      // A last line that a crash tore is dropped, and what was wiped goes.
      const kept = [...this.records.values()].flatMap(lines).map((line) => `${JSON.stringify(line)}\n`);
      const fresh = openSync(`${path}.new`, "w", 0o600);
      appendFileSync(fresh, kept.join(""));
      fsyncSync(fresh);
      closeSync(fresh);
      renameSync(`${path}.new`, path);
    }
    this.file = openSync(path, "a", 0o600);
    synced(dirname(path));
  }

  /** What may hold secrets is not kept: arguments and tokens. */
  begin(offer: Offer): void {
    this.write({ entry: "begun", offer: { ...offer, args: {}, mcp: null, job: null, workspace: { ...offer.workspace, token: "" } } });
  }

  /** Only who is killed before the call ends needs it, so it is not synced: with the machine its processes die, too. */
  runs(call_id: string, leader: Leader): void {
    if (!this.records.get(call_id)?.result) this.write({ entry: "runs", call_id, leader }, false);
  }

  end(call_id: string, result: Result): void {
    this.write({ entry: "ended", call_id, result });
  }

  tell(call_id: string): void {
    this.write({ entry: "told", call_id });
  }

  wipe(subject: string): void {
    this.write({ entry: "wiped", subject });
  }

  /** What commands of a session took, by the results of all its calls that have ended. */
  used(subject: string): Used {
    const results = [...this.records.values()].filter((one) => one.offer.subject === subject).map((one) => one.result?.used);
    return results.reduce<Used>((sum, one) => ({ ms: sum.ms + (one?.ms ?? 0), output: sum.output + (one?.output ?? 0) }), { ms: 0, output: 0 });
  }

  /** The calls whose end the server may not know of. */
  get untold(): Record[] {
    return [...this.records.values()].filter((record) => !record.told);
  }

  get subjects(): string[] {
    return [...new Set([...this.records.values()].map((record) => record.offer.subject))];
  }

  close(): void {
    this.closed = true;
    closeSync(this.file);
  }

  private write(line: Line, sync = true): void {
    if (this.closed) return; // the window is gone, and what it could not note is found by the next
    appendFileSync(this.file, `${JSON.stringify(line)}\n`);
    if (sync) fsyncSync(this.file);
    this.apply(line);
  }

  private take(text: string): void {
    try {
      if (text) this.apply(JSON.parse(text) as Line);
    } catch {
      // torn
    }
  }

  private apply(line: Line): void {
    if (line.entry === "begun") this.records.set(line.offer.call_id, { offer: line.offer });
    else if (line.entry === "wiped") {
      for (const [call, record] of this.records) if (record.offer.subject === line.subject) this.records.delete(call);
    } else {
      const record = this.records.get(line.call_id);
      if (record && line.entry === "runs") record.leader = line.leader;
      if (record && line.entry === "ended") record.result = line.result;
      if (record && line.entry === "told") record.told = true;
    }
  }
}

function lines(record: Record): Line[] {
  const call_id = record.offer.call_id;
  return [
    { entry: "begun", offer: record.offer },
    ...(record.result ? [{ entry: "ended" as const, call_id, result: record.result }] : []),
    ...(record.told ? [{ entry: "told" as const, call_id }] : []),
  ];
}

/** Has a folder's names on disk, where the system can. */
export function synced(folder: string): void {
  if (process.platform === "win32") return;
  const opened = openSync(folder, constants.O_RDONLY);
  fsyncSync(opened);
  closeSync(opened);
}
