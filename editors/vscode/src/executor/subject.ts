import type { Editor } from "./editor";
import { type Content, put } from "./files";
import type { Home } from "./home";
import type { Journal } from "./journal";
import { Call, leftOut, refusal, uploaded } from "./call";
import { unkept, Usage } from "./limits";
import { type Killed, Processes } from "./processes";
import type { FileChange, Offer, Outcome, SnapshotReport } from "./protocol";
import type { Server } from "./server";
import { Shadow } from "./shadow";

/** What all subjects of a window work with. */
export interface Equipment {
  home: Home;
  server: Server;
  folder: string;
  editor: Editor;
  fetchMs: number;
  log: (line: string) => void;
  /** The server wants nothing of a subject any more. */
  lost: (subject: Subject) => void;
}

/** One session in this folder: its lease, its calls, its processes, its snapshots. */
export class Subject {
  /** The lease that this window believes to have; 0 is none. */
  epoch = 0;
  teardown: (Killed & { lease_epoch: number }) | undefined;
  readonly calls = new Map<string, Call>();
  readonly place: string;
  readonly server: Server;
  readonly journal: Journal;
  readonly folder: string;
  readonly editor: Editor;
  readonly log: (line: string) => void;
  readonly processes: Processes;
  readonly usage: Usage;
  readonly shadow: Shadow;
  /** Until then nothing new is begun: what ran before is being killed. */
  private quiet: Promise<unknown> = Promise.resolve();
  private snapshots: Promise<unknown> = Promise.resolve();
  private preparing: Promise<void> | undefined;
  private announced = 0;

  constructor(
    readonly name: string,
    private readonly equipment: Equipment,
  ) {
    const { home, folder, fetchMs } = equipment;
    ({ server: this.server, folder: this.folder, editor: this.editor, log: this.log } = equipment);
    this.place = home.place(name);
    this.journal = home.journal;
    this.usage = new Usage(this.journal.used(name));
    this.processes = new Processes(this.place, (call, leader) => this.journal.runs(call, leader));
    this.shadow = new Shadow(this.place, folder, this.server.url, this.processes, fetchMs);
  }

  /** Takes an offer; the same one again is answered by what the journal says. A newer lease ends what ran under an older. */
  take(offer: Offer): void {
    if (offer.lease_epoch < this.epoch) return;
    if ([...this.calls.values()].some((call) => call.offer.lease_epoch !== offer.lease_epoch)) void this.abandon();
    this.epoch = offer.lease_epoch;
    const known = this.calls.get(offer.call_id);
    if (known) return known.renew(offer);
    this.teardown = undefined;
    this.usage.admit(offer.limits, offer.used);
    const call = new Call(offer, this, this.quiet);
    this.calls.set(offer.call_id, call);
    void call.done.then(() => {
      if (this.calls.get(offer.call_id) === call) this.calls.delete(offer.call_id);
    });
  }

  /** Ends one call, which is reported; the others go on. */
  cancel(id: string): void {
    const call = this.calls.get(id);
    call?.interrupt("cancelled", "The call was cancelled while it ran, and killed. Files may be changed only in part.");
    if (call) void this.processes.kill(id);
  }

  /** Kills all processes and lets go of all calls: the proof. `outcome` is what the journal says of those that had begun. */
  async abandon(outcome?: Outcome): Promise<Killed> {
    const calls = [...this.calls.values()];
    this.calls.clear();
    for (const call of calls) call.abandon();
    const killing = this.processes.kill();
    this.quiet = Promise.all([this.quiet, killing, ...calls.map((call) => call.done)]).then(() => {
      this.usage.tell(); // whoever ended the lease has counted it
      for (const { offer } of calls) this.close(offer, outcome);
    });
    const [killed] = await Promise.all([killing, this.quiet]);
    return killed;
  }

  /** Kills all processes; calls that began are reported as interrupted, with the reason, those that didn't are let go of. */
  async interrupt(reason: string): Promise<void> {
    for (const [id, call] of this.calls) {
      if (call.begun) call.interrupt("interrupted", reason);
      else {
        call.abandon();
        this.calls.delete(id);
      }
    }
    const killing = this.processes.kill();
    this.quiet = Promise.all([this.quiet, killing]);
    await killing;
  }

  /** The server wants nothing of it any more. */
  lost(why: string): void {
    this.log(`${this.name} is not ours any more: ${why}`);
    this.equipment.lost(this);
  }

  /** Deletes all that is kept of it; the folder's files stay. */
  async wipe(): Promise<void> {
    const gone = this.abandon().then(() => {
      this.journal.wipe(this.name);
      this.announced = 0;
      return this.shadow.delete();
    });
    this.quiet = Promise.all([this.quiet, gone]);
    await gone;
  }

  /** Does something while nothing else takes a snapshot. */
  async alone<T>(exclusive: boolean, work: () => Promise<T>): Promise<T> {
    if (!exclusive) return work();
    const now = this.snapshots.then(work);
    this.snapshots = now.catch(() => undefined);
    return now;
  }

  /** Has the folder as the session needs it: once for all calls of a lease. */
  async prepare(server: Server, offer: () => Offer): Promise<void> {
    if (this.announced === offer().lease_epoch) return;
    if (this.preparing) {
      await this.preparing.catch(() => undefined);
      return this.prepare(server, offer);
    }
    this.preparing = this.made(server, offer);
    await this.preparing.finally(() => (this.preparing = undefined));
  }

  /** Its first snapshot, or what it left elsewhere. */
  private async made(server: Server, offer: () => Offer): Promise<void> {
    const began = performance.now();
    const { lease_epoch: epoch, workspace: spec } = offer();
    const notes = missing(offer());
    const fresh = await this.shadow.open(() => offer().workspace);
    let start: SnapshotReport | null = null;
    if (!fresh && this.shadow.state && this.shadow.state.step >= spec.step) {
      await this.shadow.renew(epoch); // nobody else has worked on it: the files are taken as they are
    } else if (!spec.snapshot_commit && spec.step === 0) {
      const taken = await this.shadow.start(spec, epoch);
      start = await uploaded(server, offer(), taken);
      notes.push(...[leftOut(taken.left)].filter(Boolean));
    } else {
      const changes = await this.shadow.bring(spec, (blob, target) => server.download(this.name, blob, target));
      for (const [name, content] of changes) await put(this.folder, this.editor, name, content);
      await this.shadow.brought(spec, epoch);
    }
    const ms = Math.round(performance.now() - began);
    await server.prepared(this.name, epoch, spec.commit, notes, ms, start);
    this.announced = epoch;
  }

  /** The files that differ from what the folder held when the session began. */
  async changes(): Promise<(FileChange & { blob: string })[]> {
    return this.shadow.pending();
  }

  /** A file as it was when the session began; undefined if there was none. */
  async original(path: string): Promise<Content | undefined> {
    return this.shadow.original(path);
  }

  /** Makes files what they were when the session began: those that were not there go first, as they may stand where a folder was. */
  async undo(paths: string[]): Promise<void> {
    const before = await Promise.all(paths.map(async (path) => [path, await this.shadow.original(path)] as const));
    for (const [path, content] of [...before.filter(([, one]) => !one), ...before.filter(([, one]) => one)]) await put(this.folder, this.editor, path, content);
  }

  private close(offer: Offer, outcome: Outcome | undefined): void {
    const record = this.journal.records.get(offer.call_id);
    if (!record) return;
    if (!record.result && outcome) this.journal.end(offer.call_id, { ...refusal(offer, ""), begun: true, outcome });
    this.journal.tell(offer.call_id);
  }
}

function missing({ workspace, limits }: Offer): string[] {
  const notes = ["Commands reach what the person at the editor reaches: there are no walls around them."];
  if (workspace.setup_script.length) notes.push("The setup script of agent-config.yml is not run in an editor.");
  if (workspace.network) notes.push("The network policy of agent-config.yml has no effect in an editor.");
  if (workspace.cache) notes.push("The cache of agent-config.yml has no effect in an editor.");
  const names = unkept(limits);
  if (names.length) notes.push(`An editor can't keep the session to these limits of the project: ${names.join(", ")}.`);
  return notes;
}
