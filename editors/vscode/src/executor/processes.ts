import { execFile, spawn, type ChildProcess } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const WINDOWS = process.platform === "win32";
const MARK = "QUARTERDECK_WORK";
/** What is left of a command that was killed has to be gone by then. */
const GONE_MS = 2_000;

export interface Ended {
  code: number | null;
  timedOut: boolean;
  killed: boolean;
}

export interface Killed {
  killed: number;
  left: number;
  duration_ms: number;
  method: string;
}

/** The commands of one session: each a process group of its own, killed with all that it started. */
export class Processes {
  private readonly running = new Set<ChildProcess>();

  /** Commands have `mark` in their environment, by which they are found wherever they went, where the system shows it. */
  constructor(private readonly mark: string) {}

  /** Runs a command to its end, and ends what it left in the background. */
  async run(argv: string[], cwd: string, env: NodeJS.ProcessEnv, timeoutMs: number, printed: (data: Buffer) => void): Promise<Ended> {
    const [program = "", ...args] = argv;
    const child = spawn(program, args, { cwd, env: { ...env, [MARK]: this.mark }, detached: !WINDOWS, stdio: ["ignore", "pipe", "pipe"], windowsHide: true });
    this.running.add(child);
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      void killTree(child);
    }, timeoutMs);
    child.stdout.on("data", printed);
    child.stderr.on("data", printed);
    try {
      const [code, signal] = await new Promise<[number | null, string | null]>((done, failed) => {
        child.on("error", failed);
        child.on("exit", (exit, by) => done([exit, by]));
      });
      await killTree(child); // what it left in the background, which may still hold its output open
      await new Promise<void>((done) => (child.stdout.closed && child.stderr.closed ? done() : child.on("close", () => done())));
      return { code, timedOut, killed: signal === "SIGKILL" && !timedOut };
    } finally {
      clearTimeout(timer);
      this.running.delete(child);
    }
  }

  /** Kills all of it at once, without grace, and says how many processes that were and how many are left. */
  async kill(): Promise<Killed> {
    const began = performance.now();
    const found = new Set<number>();
    for (const child of this.running) for (const pid of await killTree(child)) found.add(pid);
    for (let more = await marked(this.mark); more.length; more = (await marked(this.mark)).filter((pid) => !found.has(pid))) {
      for (const pid of more) {
        found.add(pid);
        end(pid);
      }
    }
    const until = performance.now() + GONE_MS;
    let left = alive(found);
    while (left > 0 && performance.now() < until) {
      await new Promise((done) => setTimeout(done, 10));
      left = alive(found);
    }
    const method = WINDOWS ? "taskkill of the tree" : "SIGKILL of process groups, trees and marks";
    return { killed: found.size, left, duration_ms: performance.now() - began, method };
  }
}

function alive(pids: Set<number>): number {
  let count = 0;
  for (const pid of pids) {
    try {
      process.kill(pid, 0);
      count++;
    } catch {
      // gone
    }
  }
  return count;
}

/** Kills a process with its group and all below it; answers those that there were. */
async function killTree(child: ChildProcess): Promise<number[]> {
  const root = child.pid;
  if (root === undefined) return [];
  if (WINDOWS) {
    await run("taskkill", ["/pid", String(root), "/T", "/F"]).catch(() => undefined);
    return [root];
  }
  const found = await below(root);
  for (const target of [-root, ...found]) end(target);
  return found;
}

function end(target: number): void {
  try {
    process.kill(target, "SIGKILL");
  } catch {
    // gone already
  }
}

/** Processes of ours that have the mark in their environment, as Linux shows it; also those that left their parents. */
async function marked(mark: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir("/proc").catch(() => [])) {
    if (!/^\d+$/.test(name)) continue;
    const environment = await readFile(`/proc/${name}/environ`, "latin1").catch(() => "");
    if (environment.split("\0").includes(`${MARK}=${mark}`)) found.push(Number(name));
  }
  return found;
}

/** The processes of a group, and all below any of them, that are no zombies. */
async function below(root: number): Promise<number[]> {
  const { stdout } = await run("ps", ["-A", "-o", "pid=,ppid=,pgid=,state="]).catch(() => ({ stdout: "" }));
  const rows = stdout.split("\n").map((line) => line.trim().split(/\s+/));
  const found = new Set<number>();
  let grew = true;
  while (grew) {
    grew = false;
    for (const [pid, parent, group, state] of rows) {
      const mine = Number(pid);
      const belongs = Number(group) === root || mine === root || found.has(Number(parent)) || found.has(Number(group));
      if (mine && belongs && !found.has(mine) && !(state ?? "Z").startsWith("Z")) {
        found.add(mine);
        grew = true;
      }
    }
  }
  return [...found];
}
