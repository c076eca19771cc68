import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import type { Editor } from "./editor";
import type { Journal } from "./journal";
import { writable } from "./paths";
import { type Killed, Processes } from "./processes";
import { type Done, type FileChange, type Offer, type Outcome, type Result, type SnapshotReport, ToolError } from "./protocol";
import { LostError, RefusedError, type Server } from "./server";
import { Shadow, type Snapshot } from "./shadow";
import { CHANGES, TOOLS } from "./tools";

const NOTES = [
  "An editor runs no setup script, and keeps no limits of the project. Commands reach what its person reaches: there are no walls around them.",
];
/** Of a command's output; the server keeps no more either. */
const OUTPUT_BYTES = 16 * 1024 * 1024;
const PIECE_BYTES = 64 * 1024;

/** One session in this folder: its calls one after the other, its processes, its snapshots. */
export class Subject {
  epoch = 0;
  teardown: (Killed & { lease_epoch: number }) | undefined;
  readonly processes: Processes;
  readonly calls = new Map<string, Offer>();
  private readonly shadow: Shadow;
  private line: Promise<void> = Promise.resolve();
  private stopped: Outcome | undefined;
  /** The call that is stopped alone. */
  private only: string | undefined;
  private running = "";
  private announced = 0;

  constructor(
    readonly name: string,
    private readonly place: string,
    private readonly folder: string,
    private readonly server: Server,
    private readonly journal: Journal,
    private readonly editor: Editor,
    private readonly log: (line: string) => void,
  ) {
    this.shadow = new Shadow(place, folder, server.url);
    this.processes = new Processes(place);
  }

  /** Takes an offer; the same one again is answered by what the journal says. */
  take(offer: Offer): void {
    if (offer.lease_epoch < this.epoch) return;
    if (offer.lease_epoch > this.epoch && this.calls.size) void this.stop("interrupted");
    this.epoch = offer.lease_epoch;
    this.teardown = undefined;
    const running = this.calls.get(offer.call_id);
    this.calls.set(offer.call_id, offer);
    if (running) return;
    this.line = this.line.then(() => this.carryOut(offer)).catch((error: unknown) => this.log(`call ${offer.call_id}: ${String(error)}`));
  }

  /** Kills what runs; what was called then ends as `outcome`, or is nobody's business any more. */
  async stop(outcome: Outcome, only?: string): Promise<Killed> {
    this.stopped = outcome;
    this.only = only;
    void this.line.finally(() => (this.stopped = this.only = undefined));
    // A call that waits for its turn has no processes; those that run are another's.
    return only === undefined || only === this.running ? this.processes.kill() : { killed: 0, left: 0, duration_ms: 0, method: "" };
  }

  async wipe(): Promise<void> {
    await this.stop("cancelled");
    await this.line;
    this.journal.wipe(this.name);
    await this.shadow.delete();
    await rm(this.place, { recursive: true, force: true });
  }

  private async carryOut(offer: Offer): Promise<void> {
    const record = this.journal.records.get(offer.call_id);
    try {
      if (record?.result) return await this.report(offer, record.result);
      if (record) {
        await this.processes.kill(); // what a window that was killed left running
        return await this.report(offer, this.interrupted(offer));
      }
      if (this.stopped && (this.only === undefined || this.only === offer.call_id)) {
        return await this.report(offer, ended(offer, this.stopped, "The call was ended before it began."));
      }
      await this.doIt(offer);
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      this.log(`call ${offer.call_id} is not ours any more`);
    } finally {
      this.calls.delete(offer.call_id);
    }
  }

  private async doIt(offer: Offer): Promise<void> {
    const began = performance.now();
    this.running = offer.call_id;
    const output = new Output(this.server, offer);
    let done: Done;
    let begun = false;
    try {
      await this.prepare(offer);
      this.journal.begin(offer);
      begun = true;
      await this.server.started(offer.call_id, offer.turn_no, offer.lease_epoch);
      done = await this.done(offer, output);
    } catch (error) {
      if (error instanceof LostError) throw error;
      done = { outcome: "error", text: (error as Error).message };
      if (!begun) this.journal.begin(offer);
    }
    if (this.stopped && (this.only === undefined || this.only === offer.call_id)) done = { ...done, outcome: this.stopped, text: "The call was ended while it ran, and killed. Files may be changed only in part." };
    await output.end();
    const snapshot = CHANGES.has(offer.tool) && begun ? await this.snapshot(offer) : null;
    const result: Result = {
      turn_no: offer.turn_no, lease_epoch: offer.lease_epoch, begun: true, outcome: done.outcome, text: done.text,
      exit_code: done.exitCode ?? null, duration_ms: Math.round(performance.now() - began), output_bytes: output.size,
      output_sha256: output.sha256, truncated: Boolean(done.truncated) || output.lost, snapshot,
    };
    this.journal.end(offer.call_id, result);
    if (snapshot) await this.shadow.settle(snapshot.step, snapshot.commit);
    await this.report(offer, result);
  }

  private async done(offer: Offer, output: Output): Promise<Done> {
    const tool = TOOLS[offer.tool];
    if (!tool || offer.mcp || offer.job) return { outcome: "error", text: `An editor can't carry out ${offer.tool}; it is there on runners.` };
    return tool(
      {
        subject: this.name, folder: this.folder, editor: this.editor, processes: this.processes, shadow: this.shadow,
        spec: (this.calls.get(offer.call_id) ?? offer).workspace,
        printed: (data) => output.write(data),
        push: (branch, commit, bundle) => this.server.push(offer.call_id, offer.lease_epoch, branch, commit, bundle),
      },
      offer.args,
    ).catch((error: unknown) => {
      if (error instanceof ToolError) return { outcome: "error", text: error.message };
      throw error;
    });
  }

  /** Has the folder as the session needs it: its first snapshot, or what it left elsewhere. */
  private async prepare(offer: Offer): Promise<void> {
    if (this.announced === offer.lease_epoch) return;
    const began = performance.now();
    const spec = offer.workspace;
    const fresh = await this.shadow.open(spec);
    let start: SnapshotReport | null = null;
    if (!fresh && this.shadow.state && this.shadow.state.step >= spec.step) {
      await this.shadow.renew(offer.lease_epoch); // nobody else has worked on it: the files are taken as they are
    } else if (!spec.snapshot_commit && spec.step === 0) {
      start = await this.uploaded(offer, await this.shadow.start(spec, offer.lease_epoch));
    } else {
      const changes = await this.shadow.bring(spec, offer.lease_epoch, (blob, target) => this.server.download(this.name, blob, target));
      for (const [name, content] of changes) {
        await this.put(name, content);
      }
    }
    const ms = Math.round(performance.now() - began);
    await this.server.prepared(this.name, offer.lease_epoch, spec.commit, NOTES, ms, start);
    this.announced = offer.lease_epoch;
  }

  /** The files that differ from what the folder held when the session began. */
  async changes(): Promise<(FileChange & { blob: string })[]> {
    return this.shadow.pending();
  }

  /** A file as it was when the session began; empty if there was none. */
  async original(path: string): Promise<Buffer | undefined> {
    return this.shadow.original(path);
  }

  /** Makes a file what it was when the session began. */
  async undo(path: string): Promise<void> {
    await this.put(path, await this.shadow.original(path));
  }

  private async put(name: string, content: Buffer | undefined): Promise<void> {
    const path = await writable(this.folder, name);
    if (content === undefined) return this.editor.remove(path);
    const text = content.toString("utf8");
    await this.editor.write(path, content.includes(0) || !Buffer.from(text).equals(content) ? content : text);
  }

  private async snapshot(offer: Offer): Promise<SnapshotReport | null> {
    try {
      const taken = await this.shadow.take();
      return taken ? await this.uploaded(offer, taken) : null;
    } catch (error) {
      if (error instanceof LostError) throw error;
      this.log(`no snapshot: ${String(error)}`);
      return null;
    }
  }

  private async uploaded(offer: Offer, taken: Snapshot): Promise<SnapshotReport> {
    const paths = [taken.bundle, taken.stepDiff, taken.wholeDiff];
    const blobs: number[] = [];
    for (const path of paths) blobs.push(await this.server.upload(this.name, offer.lease_epoch, path));
    await Promise.all(paths.map((path) => rm(path, { force: true })));
    const [bundle_blob = 0, step_diff_blob = 0, whole_diff_blob = 0] = blobs;
    return { step: taken.step, commit: taken.commit, files: taken.files, bundle_blob, step_diff_blob, whole_diff_blob };
  }

  private async report(offer: Offer, result: Result): Promise<void> {
    // A lease that is newer than the result's asks under its own number.
    const under = { turn_no: offer.turn_no, lease_epoch: offer.lease_epoch };
    try {
      await this.server.result(offer.call_id, { ...result, ...under });
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      const text = `The server did not take the result of this call, nor a snapshot of its files: ${error.message}`;
      await this.server.result(offer.call_id, { ...ended(offer, "error", text), begun: result.begun });
    }
    this.journal.tell(offer.call_id);
  }

  private interrupted(offer: Offer): Result {
    const text = "The editor was closed while this call ran. It may have been carried out in part; look at the files before you do it again.";
    const result = { ...ended(offer, "interrupted", text), begun: true };
    this.journal.end(offer.call_id, result);
    return result;
  }
}

function ended(offer: Offer, outcome: Outcome, text: string): Result {
  return {
    turn_no: offer.turn_no, lease_epoch: offer.lease_epoch, begun: false, outcome, text, exit_code: null,
    duration_ms: 0, output_bytes: 0, output_sha256: "", truncated: false, snapshot: null,
  };
}

/** What a call prints, on its way to the server; all of it is kept until the call ends, for a server that has lost some. */
class Output {
  size = 0;
  /** Whether it printed more than is taken. */
  lost = false;
  private readonly hash = createHash("sha256");
  private kept = Buffer.alloc(64 * 1024);
  private sent = 0;
  private sending = false;
  private line: Promise<void> = Promise.resolve();

  constructor(
    private readonly server: Server,
    private readonly offer: Offer,
  ) {}

  get sha256(): string {
    return this.size ? this.hash.copy().digest("hex") : "";
  }

  write(data: Buffer): void {
    const part = data.subarray(0, Math.max(0, OUTPUT_BYTES - this.size));
    this.lost ||= part.length < data.length;
    if (!part.length) return;
    this.hash.update(part);
    if (this.size + part.length > this.kept.length) {
      const more = Buffer.alloc(Math.max(2 * this.kept.length, this.size + part.length));
      this.kept.copy(more, 0, 0, this.size);
      this.kept = more;
    }
    part.copy(this.kept, this.size);
    this.size += part.length;
    if (!this.sending) this.line = this.send();
  }

  async end(): Promise<void> {
    await this.line;
  }

  private async send(): Promise<void> {
    this.sending = true;
    try {
      while (this.sent < this.size) {
        const piece = this.kept.subarray(this.sent, Math.min(this.size, this.sent + PIECE_BYTES));
        this.sent = Math.min(await this.server.output(this.offer.call_id, this.offer.lease_epoch, this.sent, piece), this.size);
      }
    } catch {
      this.lost = true; // the lease is over, or the server takes none of it
    } finally {
      this.sending = false;
    }
  }
}
