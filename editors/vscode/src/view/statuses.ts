/** The ten statuses, with a sign and a word for each. */
export const STATUSES: Record<string, { sign: string; words: string; look: string }> = {
  created: { sign: "○", words: "Created", look: "active" },
  running: { sign: "●", words: "Running", look: "active" },
  paused: { sign: "Ⅱ", words: "Paused", look: "waits" },
  input_required: { sign: "?", words: "Needs input", look: "needs" },
  plan_approval_required: { sign: "!", words: "Plan to approve", look: "needs" },
  tool_call_approval_required: { sign: "!", words: "Approval required", look: "needs" },
  idle: { sign: "◌", words: "Idle, your turn", look: "waits" },
  finished: { sign: "✓", words: "Finished", look: "good" },
  failed: { sign: "✕", words: "Failed", look: "bad" },
  stopped: { sign: "■", words: "Stopped", look: "dim" },
};

export const FINAL = new Set(["finished", "failed", "stopped"]);
