import { rm } from "node:fs/promises";
import { LimitError } from "./limits";
import { Output } from "./output";
import { type Done, type Offer, type Outcome, type Result, type SnapshotReport, ToolError } from "./protocol";
import { LostError, RefusedError, type Server } from "./server";
import type { Snapshot } from "./shadow";
import type { Subject } from "./subject";
import { CHANGES, TOOLS } from "./tools";

const UNKNOWN = "Files may be changed only in part. Look at them before you do it again.";
const CLOSED = `The editor was closed in the middle of this call. Whatever it had started is dead. ${UNKNOWN}`;

/** Nobody wants what this call comes to. */
class AbandonedError extends Error {}

/**
 * One offered call, from its offer to the result that the server has.
 *
 * The order is the promise: folder ready, start on disk, body, snapshot uploaded, end on disk, result reported. A call that
 * the journal knows is answered from there and never begun again.
 */
export class Call {
  begun: boolean;
  /** Settles when nothing of it is under way any more; never fails. */
  readonly done: Promise<void>;
  private ending: { outcome: Outcome; text: string } | undefined;
  private readonly over = new AbortController();
  private readonly server: Server;

  constructor(
    public offer: Offer,
    private readonly subject: Subject,
    ready: Promise<unknown>,
  ) {
    this.server = subject.server.until(this.over.signal);
    this.begun = subject.journal.records.has(offer.call_id);
    this.done = ready.then(() => this.carryOut()).catch((error: unknown) => this.failed(error));
  }

  /** Has it reported as ended so, whatever its body comes to; kill its processes after it. */
  interrupt(outcome: Outcome, text: string): void {
    this.ending ??= { outcome, text };
  }

  /** Nobody wants the result any more: nothing more is told of it. */
  abandon(): void {
    this.over.abort();
  }

  /** Takes what is new in an offer of the same call: its token, as the one before ended with its stream. */
  renew(offer: Offer): void {
    this.offer = offer;
  }

  private failed(error: unknown): void {
    if (this.over.signal.aborted) return;
    if (error instanceof LostError) this.subject.lost(error.message);
    else this.subject.log(`call ${this.offer.call_id} is not reported: ${String(error)}`);
  }

  private async carryOut(): Promise<void> {
    const record = this.subject.journal.records.get(this.offer.call_id);
    if (!record) return this.report(await this.outcome());
    return this.report(record.result ?? (await this.ended({ outcome: "interrupted", text: CLOSED })));
  }

  private async outcome(): Promise<Result> {
    const began = performance.now();
    const output = new Output(this.server, this.offer);
    let done: Done | undefined;
    try {
      await this.subject.prepare(this.server, () => this.offer);
    } catch (error) {
      done = this.fault(error);
    }
    if (this.over.signal.aborted) throw new AbandonedError();
    this.subject.journal.begin(this.offer);
    this.begun = true;
    const { call_id, turn_no, lease_epoch } = this.offer;
    const told = this.server.started(call_id, turn_no, lease_epoch).catch((error: unknown) => error);
    if (!done && !this.ending) done = await this.body(output).catch((error: unknown) => this.fault(error));
    if (!done || (this.ending && done.outcome !== "ok")) done = { ...done, outcome: "interrupted", text: "", ...this.ending };
    await output.end();
    const fault = await told;
    if (fault instanceof LostError) throw fault;
    if (this.over.signal.aborted) throw new AbandonedError();
    return this.ended(done, began, output);
  }

  private fault(error: unknown): Done {
    if (error instanceof LostError) throw error;
    if (this.over.signal.aborted) throw new AbandonedError();
    return { outcome: "error", text: error instanceof Error ? error.message : String(error), limit: error instanceof LimitError ? error.reached : null };
  }

  private async body(output: Output): Promise<Done> {
    const { offer, subject } = this;
    const tool = TOOLS[offer.tool];
    if (!tool || offer.mcp || offer.job) throw new ToolError(`An editor can't carry out ${offer.tool}; it is there on runners. It has ${Object.keys(TOOLS).join(", ")}.`);
    return tool(
      {
        subject: subject.name, call: offer.call_id, folder: subject.folder, editor: subject.editor, processes: subject.processes,
        usage: subject.usage, shadow: subject.shadow, place: subject.place, output, spec: () => this.offer.workspace,
        push: (branch, commit, bundle) => this.server.push(offer.call_id, offer.lease_epoch, branch, commit, bundle),
      },
      offer.args,
    );
  }

  /** The result, on disk, with a snapshot of what the call changed; one at a time, for each step follows on another. */
  private async ended(done: Done, began?: number, output?: Output): Promise<Result> {
    const { journal, shadow } = this.subject;
    const changes = CHANGES.has(this.offer.tool) && (await shadow.lease()) === this.offer.lease_epoch;
    return this.subject.alone(changes, async () => {
      const [snapshot, note] = changes ? await this.snapshot() : [null, ""];
      const result: Result = {
        turn_no: this.offer.turn_no, lease_epoch: this.offer.lease_epoch, begun: this.begun, outcome: done.outcome,
        text: [done.text, note].filter(Boolean).join("\n"), exit_code: done.exitCode ?? null,
        duration_ms: began === undefined ? 0 : Math.round(performance.now() - began), output_bytes: output?.size ?? 0,
        output_sha256: output?.sha256 ?? "", truncated: Boolean(done.truncated) || Boolean(output?.lost), snapshot,
        used: this.subject.usage.tell(), limit: done.limit ?? null,
      };
      if (this.over.signal.aborted) throw new AbandonedError();
      journal.end(this.offer.call_id, result);
      if (snapshot) await shadow.settle(snapshot.step, snapshot.commit);
      return result;
    });
  }

  /** What the call changed, uploaded, and what is to be said of it; a snapshot that fails fails no call. */
  private async snapshot(): Promise<[SnapshotReport | null, string]> {
    try {
      const taken = await this.subject.shadow.take();
      return taken ? [await uploaded(this.server, this.offer, taken), leftOut(taken.left)] : [null, ""];
    } catch (error) {
      if (error instanceof LostError || this.over.signal.aborted) throw error;
      this.subject.log(`no snapshot: ${String(error)}`);
      return [null, `(The files are as the call left them, but no snapshot of them could be kept: ${(error as Error).message})`];
    }
  }

  private async report(result: Result): Promise<void> {
    // A lease that is newer than the result's asks under its own number.
    const { call_id, turn_no, lease_epoch } = this.offer;
    try {
      await this.server.result(call_id, { ...result, turn_no, lease_epoch });
    } catch (error) {
      if (!(error instanceof RefusedError) || error.status === 401) throw error;
      const text = `The server did not take the result of this call, nor a snapshot of its files: ${error.message} ${UNKNOWN}`;
      const instead: Result = { ...result, turn_no, lease_epoch, outcome: "error", text, exit_code: null, snapshot: null, limit: null };
      this.subject.journal.end(call_id, instead);
      await this.server.result(call_id, instead); // refused once more, it is told again after the next hello
    }
    this.subject.journal.tell(call_id);
  }
}

export async function uploaded(server: Server, offer: Offer, taken: Snapshot): Promise<SnapshotReport> {
  const paths = [taken.bundle, taken.stepDiff, taken.wholeDiff];
  const blobs: number[] = [];
  try {
    for (const path of paths) blobs.push(await server.upload(offer.subject, offer.lease_epoch, path));
  } finally {
    await Promise.all(paths.map((path) => rm(path, { force: true })));
  }
  const [bundle_blob = 0, step_diff_blob = 0, whole_diff_blob = 0] = blobs;
  return { step: taken.step, commit: taken.commit, files: taken.files, bundle_blob, step_diff_blob, whole_diff_blob };
}

export function leftOut(left: string[]): string {
  return left.length ? `(Left out of the snapshot, too large or unreadable: ${left.slice(0, 10).join(", ")})` : "";
}

/** The answer to an offer that can't be carried out, which nothing is known of here. */
export function refusal(call: { turn_no: number; lease_epoch: number }, text: string): Result {
  return {
    turn_no: call.turn_no, lease_epoch: call.lease_epoch, begun: false, outcome: "error", text, exit_code: null, duration_ms: 0,
    output_bytes: 0, output_sha256: "", truncated: false, snapshot: null, used: { ms: 0, output: 0 }, limit: null,
  };
}
