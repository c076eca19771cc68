import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from "node:fs";
import type { Offer, Result } from "./protocol";

/** What is known of one call. */
export interface Record {
  offer: Offer;
  result?: Result;
  told?: boolean;
}

type Line =
  | { entry: "begun"; offer: Offer }
  | { entry: "ended"; call_id: string; result: Result }
  | { entry: "told"; call_id: string }
  | { entry: "wiped"; subject: string };

/** The executor's own record of calls: on disk, synced, before a call starts and after it ends, so none is done twice. */
export class Journal {
  readonly records = new Map<string, Record>();
  private readonly file: number;

  constructor(path: string) {
    if (existsSync(path)) {
      for (const line of readFileSync(path, "utf8").split("\n")) this.take(line);
      // A last line that a crash tore is dropped, and what was wiped goes.
      const kept = [...this.records.values()].flatMap(lines).map((line) => `${JSON.stringify(line)}\n`);
      writeFileSync(`${path}.new`, kept.join(""), { mode: 0o600 });
      renameSync(`${path}.new`, path);
    }
    this.file = openSync(path, "a", 0o600);
  }

  /** What may hold secrets is not kept: arguments and tokens. */
  begin(offer: Offer): void {
    this.write({ entry: "begun", offer: { ...offer, args: {}, mcp: null, job: null, workspace: { ...offer.workspace, token: "" } } });
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

  get subjects(): string[] {
    return [...new Set([...this.records.values()].map((record) => record.offer.subject))];
  }

  close(): void {
    closeSync(this.file);
  }

  private write(line: Line): void {
    writeSync(this.file, `${JSON.stringify(line)}\n`);
    fsyncSync(this.file);
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
