import { join } from "node:path";
import type { Editor } from "./editor";
import { refusal } from "./call";
import type { Home } from "./home";
import { Leases } from "./leases";
import { endLeft } from "./processes";
import { type Cancel, type Offer, pause, PROTOCOL, type Times, TIMES } from "./protocol";
import { RefusedError, Server } from "./server";
import { type Equipment, Subject } from "./subject";

export type { Editor, Terminal } from "./editor";
export { HeldError, Home } from "./home";
export { outer } from "./shadow";

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;
const ASK_AFTER_MS = 1_000;
/** A window that closes has so long to tell of what that ended. */
const CLOSING_MS = 3_000;
const CLOSED = "The editor was closed while this call ran, and killed it. Files may be changed only in part. Look at them before you do it again.";

export interface Options {
  server: string;
  token: string;
  instance: string;
  name: string;
  folder: string;
  /** Its own until it is disposed of. */
  home: Home;
  version: string;
  editor: Editor;
  times?: Partial<Times>;
  log: (line: string) => void;
}

export type Standing = "connected" | "away" | "refused";

/** A folder as an executor of its person's sessions, for as long as the window is open. */
export class FolderExecutor {
  private readonly over = new AbortController();
  private readonly server: Server;
  private readonly subjects = new Map<string, Subject>();
  private readonly equipment: Equipment;
  private readonly leases: Leases;
  private readonly aside = new Set<Promise<void>>();
  private working: Promise<unknown> = Promise.resolve();
  private asking = false;
  private closing = false;
  private tell: (state: Standing, detail: string) => void = () => undefined;

  constructor(private readonly options: Options) {
    const { home, folder, editor, log } = options;
    const times = { ...TIMES, ...options.times };
    this.server = new Server(options.server, options.token, this.over.signal, times.dropMs);
    this.equipment = { home, server: this.server, folder, editor, fetchMs: times.fetchMs, log, lost: (subject) => this.lose(subject) };
    this.leases = new Leases(this.server, this.subjects, (subject) => this.lose(subject), times, log);
  }

  onState(listener: (state: Standing, detail: string) => void): void {
    this.tell = listener;
  }

  start(): void {
    this.working = Promise.all([this.listen(), this.leases.keep(this.over.signal)]);
  }

  /** Kills what runs and tells the server of it, as far as it answers soon; the sessions wait for the window to open again. */
  async dispose(): Promise<void> {
    this.closing = true;
    const subjects = [...this.subjects.values()];
    await Promise.all(subjects.map((subject) => subject.interrupt(CLOSED)));
    const calls = subjects.flatMap((subject) => [...subject.calls.values()].map((call) => call.done));
    const patience = new AbortController();
    await Promise.race([Promise.all(calls), pause(CLOSING_MS, patience.signal)]);
    patience.abort();
    this.over.abort();
    await Promise.all([this.working, ...calls, ...this.aside]).catch((error: unknown) => this.options.log(String(error)));
    this.options.home.close();
  }

  /** What of a session here is under review: its changes, and a file as it was. */
  review(session: number): Subject {
    return this.subject(`session:${session}`);
  }

  private async listen(): Promise<void> {
    const { home, log } = this.options;
    const begun = [...home.journal.records.values()].filter((record) => !record.result);
    const left = await endLeft((mark) => mark.startsWith(join(home.folder, "session-")), begun.flatMap((record) => record.leader ?? []));
    if (left) log(`ended ${left} processes that a window before this one left`);
    let wait = FIRST_PAUSE_MS;
    while (!this.over.signal.aborted) {
      try {
        await this.introduce();
        for await (const { event, data } of this.server.stream(this.leases.runner)) {
          wait = FIRST_PAUSE_MS;
          if (event === "open") {
            this.tell("connected", "");
            this.leases.renewNow();
          } else this.take(event, data);
        }
      } catch (error) {
        if (this.over.signal.aborted) return;
        log(`connection: ${String(error)}`);
        if (error instanceof RefusedError && error.status === 401) return this.tell("refused", error.message);
        this.tell("away", error instanceof Error ? error.message : String(error));
      }
      await pause(wait, this.over.signal);
      wait = Math.min(2 * wait, LONGEST_PAUSE_MS);
    }
  }

  private async introduce(): Promise<void> {
    const welcome = await this.server.hello(this.hello());
    this.leases.runner = welcome.runner;
    for (const name of welcome.wipe) this.wipe(name);
    for (const { offer } of this.options.home.journal.untold) {
      if (!welcome.wipe.includes(offer.subject)) this.subject(offer.subject).take(offer);
    }
  }

  private hello(): object {
    const { version, name, instance, home } = this.options;
    return {
      protocol: PROTOCOL, version, name, instance, kind: "ide", capacity: 4, isolation: "none", capabilities: { sandbox: "none" },
      subjects: home.subjects,
    };
  }

  private take(event: string, data: string): void {
    try {
      if (event === "offer") this.offered(JSON.parse(data));
      else if (event === "cancel") this.cancel(JSON.parse(data) as Cancel);
      else if (event === "wipe") this.wipe((JSON.parse(data) as { subject: string }).subject);
    } catch (error) {
      this.options.log(`${event} not taken: ${String(error)}`); // whatever is wrong with one, the next must be heard
    }
  }

  private offered(said: unknown): void {
    const offer = said as Offer;
    if (this.closing) return;
    if (!addressed(offer)) throw new Error("it names no call");
    const { call_id, subject } = offer;
    if (readable(offer)) return this.subject(subject).take(offer);
    if (this.options.home.journal.records.has(call_id) || this.subjects.get(subject)?.calls.has(call_id)) return;
    const text = "This editor can't read the call. Update its extension if that is older than the server.";
    this.besides(this.server.result(call_id, refusal(offer, text)));
  }

  private cancel(cancel: Cancel): void {
    const subject = this.subject(cancel.subject);
    if (cancel.lease_epoch < subject.epoch) return;
    if (cancel.call_id) return subject.cancel(cancel.call_id);
    const killing = subject.abandon("cancelled");
    this.besides(
      killing.then((killed) => {
        subject.teardown ??= { lease_epoch: cancel.lease_epoch, ...killed };
        return this.server.teardown(cancel.subject, subject.teardown);
      }),
    );
  }

  /** Another has the lease, or nobody: kill and forget. What is kept stays until the server says that it goes. */
  private lose(subject: Subject): void {
    subject.epoch = 0;
    this.besides(subject.abandon().then(() => undefined));
    if (this.asking) return;
    this.asking = true;
    this.besides(this.askWhatGoes());
  }

  /** By a hello, as the stream may stay open for weeks; what was offered anew meanwhile stays. */
  private async askWhatGoes(): Promise<void> {
    await pause(ASK_AFTER_MS, this.over.signal);
    this.asking = false;
    const { wipe } = await this.server.hello(this.hello());
    for (const name of wipe) if (!this.subjects.get(name)?.epoch) this.wipe(name);
  }

  /** Deletes what is kept of a session; the stream doesn't wait for it. */
  private wipe(name: string): void {
    const subject = this.subject(name);
    subject.epoch = 0;
    this.besides(
      subject.wipe().then(() => {
        if (!subject.epoch && this.subjects.get(name) === subject) this.subjects.delete(name);
      }),
    );
  }

  private besides(work: Promise<void>): void {
    const done = work.catch((error: unknown) => this.options.log(String(error))).finally(() => this.aside.delete(done));
    this.aside.add(done);
  }

  private subject(name: string): Subject {
    const known = this.subjects.get(name) ?? new Subject(name, this.equipment);
    this.subjects.set(name, known);
    return known;
  }
}

/** Whether it says which call of whom it is, so that it can be answered. */
function addressed(offer: Offer): boolean {
  return /^[\w-]{1,64}$/.test(String(offer.call_id)) && typeof offer.subject === "string" && Number.isInteger(offer.turn_no) && Number.isInteger(offer.lease_epoch);
}

/** Whether it is an offer as we know them, for a session. */
function readable(offer: Offer): boolean {
  const objects = [offer.args, offer.workspace].every((one) => typeof one === "object" && one !== null);
  return objects && typeof offer.tool === "string" && /^session:\d{1,18}$/.test(offer.subject) && typeof offer.workspace.commit === "string";
}
