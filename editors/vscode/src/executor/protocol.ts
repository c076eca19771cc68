/** What the server and an executor say to each other, as `core/protocol.py` of the server has it. */
import type { ProjectLimits, Reached, Used } from "./limits";

export const PROTOCOL = 1;

/** How long things may take. */
export interface Times {
  heartbeatMs: number;
  /** Without a word of the server for so long, a stream is dead and our leases have ended. */
  dropMs: number;
  fetchMs: number;
}
export const TIMES: Times = { heartbeatMs: 10_000, dropMs: 45_000, fetchMs: 10 * 60_000 };

export interface WorkspaceSpec {
  clone_path: string;
  token: string;
  commit: string;
  branch: string;
  branch_commit: string;
  bundle_blob: number | null;
  snapshot_commit: string;
  start_commit: string;
  step: number;
  author: string;
  author_email: string;
  committer: string;
  committer_email: string;
  setup_script: string[];
  network: unknown;
  cache: unknown;
}

export interface Offer {
  call_id: string;
  subject: string;
  turn_no: number;
  lease_epoch: number;
  tool: string;
  args: Record<string, unknown>;
  workspace: WorkspaceSpec;
  job: unknown;
  mcp: unknown;
  limits: ProjectLimits | null;
  used: Used;
}

export interface Cancel {
  subject: string;
  lease_epoch: number;
  call_id: string;
}

export type Outcome = "ok" | "error" | "timed_out" | "cancelled" | "interrupted";

export interface FileChange {
  path: string;
  change: "added" | "modified" | "deleted" | "renamed";
  added: number;
  removed: number;
}

export interface SnapshotReport {
  step: number;
  commit: string;
  files: FileChange[];
  bundle_blob: number;
  step_diff_blob: number;
  whole_diff_blob: number;
}

export interface Result {
  turn_no: number;
  lease_epoch: number;
  begun: boolean;
  outcome: Outcome;
  text: string;
  exit_code: number | null;
  duration_ms: number;
  output_bytes: number;
  output_sha256: string;
  truncated: boolean;
  snapshot: SnapshotReport | null;
  used: Used;
  limit: Reached | null;
}

/** How a tool ended, before it is reported. */
export interface Done {
  outcome: Outcome;
  text: string;
  exitCode?: number | null;
  truncated?: boolean;
  limit?: Reached | null;
}

/** What is wrong with a call, in a sentence that the model is told. */
export class ToolError extends Error {}

/** Of a result; the server cuts what is longer. */
export const RESULT_CHARACTERS = 32_000;

export function cut(text: string, most = RESULT_CHARACTERS): string {
  if (text.length <= most) return text;
  const half = Math.floor((most - 100) / 2);
  return `${text.slice(0, half)}\n[… ${text.length - 2 * half} characters left out …]\n${text.slice(-half)}`;
}

/** Waits; with a signal it ends early. */
export async function pause(ms: number, over?: AbortSignal): Promise<void> {
  if (over?.aborted) return;
  await new Promise<void>((done) => {
    const timer = setTimeout(end, ms);
    function end(): void {
      clearTimeout(timer);
      over?.removeEventListener("abort", end);
      done();
    }
    over?.addEventListener("abort", end);
  });
}
