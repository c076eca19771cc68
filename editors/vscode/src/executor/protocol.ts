/** What the server and an executor say to each other, as `core/protocol.py` of the server has it. */

export const PROTOCOL = 1;
export const HEARTBEAT_MS = 10_000;
export const DROP_MS = 45_000;

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
}

/** How a tool ended, before it is reported. */
export interface Done {
  outcome: Outcome;
  text: string;
  exitCode?: number | null;
  truncated?: boolean;
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
