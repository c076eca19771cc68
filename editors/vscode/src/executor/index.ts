import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Editor } from "./editor";
import { Journal } from "./journal";
import { type Cancel, HEARTBEAT_MS, type Offer, PROTOCOL } from "./protocol";
import { RefusedError, Server } from "./server";
import { Subject } from "./subject";

export type { Editor, Terminal } from "./editor";

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;

export interface Options {
  server: string;
  token: string;
  instance: string;
  name: string;
  folder: string;
  stateFolder: string;
  version: string;
  editor: Editor;
  log: (line: string) => void;
}

export type Standing = "connected" | "away" | "refused";

/** A folder as an executor of its person's sessions, for as long as the window is open. */
export class FolderExecutor {
  private readonly over = new AbortController();
  private readonly server: Server;
  private readonly journal: Journal;
  private readonly subjects = new Map<string, Subject>();
  private runner = 0;
  private listening: Promise<void> | undefined;
  private heart: NodeJS.Timeout | undefined;
  private tell: (state: Standing, detail: string) => void = () => undefined;

  constructor(private readonly options: Options) {
    mkdirSync(options.stateFolder, { recursive: true, mode: 0o700 });
    this.server = new Server(options.server, options.token, this.over.signal);
    this.journal = new Journal(join(options.stateFolder, "journal.jsonl"));
  }

  onState(listener: (state: Standing, detail: string) => void): void {
    this.tell = listener;
  }

  start(): void {
    this.listening = this.listen();
    this.heart = setInterval(() => void this.beat(), HEARTBEAT_MS);
  }

  /** Kills what runs and tells the server nothing more: the session waits for the window to open again. */
  async dispose(): Promise<void> {
    clearInterval(this.heart);
    await Promise.all([...this.subjects.values()].map((subject) => subject.processes.kill()));
    this.over.abort();
    await this.listening?.catch(() => undefined);
    this.journal.close();
  }

  /** What of a session here is under review: its changes, and a file as it was. */
  review(session: number): Subject {
    return this.subject(`session:${session}`);
  }

  private async listen(): Promise<void> {
    let pause = FIRST_PAUSE_MS;
    while (!this.over.signal.aborted) {
      try {
        await this.introduce();
        for await (const { event, data } of this.server.stream(this.runner)) {
          pause = FIRST_PAUSE_MS;
          if (event === "open") {
            this.tell("connected", "");
            void this.beat();
          } else await this.take(event, data).catch((error: unknown) => this.options.log(`${event} not taken: ${String(error)}`));
        }
      } catch (error) {
        if (this.over.signal.aborted) return;
        this.options.log(`connection: ${String(error)}`);
        if (error instanceof RefusedError && error.status === 401) {
          this.tell("refused", error.message);
          return;
        }
        this.tell("away", error instanceof Error ? error.message : String(error));
      }
      await new Promise((done) => setTimeout(done, pause));
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    }
  }

  private async introduce(): Promise<void> {
    const welcome = await this.server.hello({
      protocol: PROTOCOL, version: this.options.version, name: this.options.name, instance: this.options.instance,
      kind: "ide", capacity: 4, isolation: "none", capabilities: { sandbox: "none" }, subjects: this.known(),
    });
    this.runner = welcome.runner;
    for (const name of welcome.wipe) await this.wipe(name);
    for (const record of [...this.journal.records.values()]) if (record.result && !record.told) this.subject(record.offer.subject).take(record.offer);
  }

  private async take(event: string, data: string): Promise<void> {
    if (event === "offer") {
      const offer = JSON.parse(data) as Offer;
      this.subject(offer.subject).take(offer);
    } else if (event === "cancel") await this.cancel(JSON.parse(data) as Cancel);
    else if (event === "wipe") await this.wipe((JSON.parse(data) as { subject: string }).subject);
  }

  private async cancel(cancel: Cancel): Promise<void> {
    const subject = this.subject(cancel.subject);
    if (cancel.lease_epoch < subject.epoch) return;
    if (cancel.call_id && !subject.calls.has(cancel.call_id)) return;
    const killed = await subject.stop("cancelled", cancel.call_id || undefined);
    if (cancel.call_id) return;
    subject.teardown ??= { lease_epoch: cancel.lease_epoch, ...killed };
    void this.server.teardown(cancel.subject, subject.teardown).catch((error: unknown) => this.options.log(String(error)));
  }

  private async wipe(name: string): Promise<void> {
    const subject = this.subject(name);
    this.subjects.delete(name);
    await subject.wipe();
  }

  private async beat(): Promise<void> {
    if (!this.runner) return;
    const held = [...this.subjects.values()].filter((one) => one.epoch > 0).map((one) => ({ subject: one.name, lease_epoch: one.epoch }));
    try {
      for (const name of (await this.server.heartbeat({ runner: this.runner, held })).lost) {
        const subject = this.subjects.get(name);
        if (!subject) continue;
        subject.epoch = 0;
        await subject.stop("interrupted");
      }
    } catch (error) {
      this.options.log(`heartbeat: ${String(error)}`);
    }
  }

  private subject(name: string): Subject {
    let known = this.subjects.get(name);
    if (!known) {
      const { folder, editor, log } = this.options;
      known = new Subject(name, this.place(name), folder, this.server, this.journal, editor, log);
      this.subjects.set(name, known);
    }
    return known;
  }

  private known(): string[] {
    const kept = readdirSync(this.options.stateFolder).filter((name) => /^session-\d+$/.test(name));
    return [...new Set([...kept.map((name) => name.replace("-", ":")), ...this.journal.subjects])].sort();
  }

  private place(name: string): string {
    if (!/^session:\d{1,18}$/.test(name)) throw new Error(`an editor works on sessions, not on ${name}`);
    return join(this.options.stateFolder, name.replace(":", "-"));
  }
}
