import { spawn, type ChildProcess } from "node:child_process";
import { constants } from "node:os";
import { StringDecoder } from "node:string_decoder";
import { below, born, end, living, marked } from "./system";
import { pause } from "./protocol";

const WINDOWS = process.platform === "win32";
/** Whose a process is: the session's folder, and the call. Found by it wherever it went, where the system shows it. */
export const WORK = "QUARTERDECK_WORK";
const CALL = "QUARTERDECK_CALL";
/** What is left of a command that was killed has to be gone by then. */
const GONE_MS = 2_000;

export interface Ended {
  /** 128 + n after signal n, as shells say it; null when we killed it. */
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

/** The first process of a command, by which a later window knows it again. */
export interface Leader {
  pid: number;
  born: string;
}

export interface How {
  cwd: string;
  env: NodeJS.ProcessEnv;
  timeoutMs: number;
  printed?: (data: Buffer) => void;
  /** The same as text: no character is split, and its errors don't stand within one of its lines' characters. */
  said?: (text: string) => void;
}

interface Held {
  child: ChildProcess;
  call: string;
  killed: boolean;
}

/** The commands of one session: each a process group of its own, killed with all that it started. */
export class Processes {
  /** How often all of it was killed: who tries again and again sees by it that nobody waits any more. */
  kills = 0;
  private readonly running = new Set<Held>();

  constructor(
    private readonly mark: string,
    private readonly began: (call: string, leader: Leader) => void,
  ) {}

  /** Runs a command of a call to its end, and ends what it left in the background. */
  async run(call: string, argv: string[], how: How): Promise<Ended> {
    const [program = "", ...args] = argv;
    const env = { ...how.env, [WORK]: this.mark, ...(call ? { [CALL]: this.callMark(call) } : {}) };
    const child = spawn(program, args, { cwd: how.cwd, env, detached: !WINDOWS, stdio: ["ignore", "pipe", "pipe"], windowsHide: true });
    const held: Held = { child, call, killed: false };
    this.running.add(held);
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      void this.endAll([held]);
    }, Math.max(0, how.timeoutMs));
    for (const stream of [child.stdout, child.stderr]) {
      const decoder = new StringDecoder("utf8");
      stream.on("data", (data: Buffer) => {
        how.printed?.(data);
        how.said?.(decoder.write(data));
      });
      stream.on("end", () => how.said?.(decoder.end()));
    }
    try {
      const over = new Promise<[number | null, NodeJS.Signals | null]>((done, failed) => {
        child.on("error", failed);
        child.on("exit", (exit, by) => done([exit, by]));
      });
      if (call && child.pid !== undefined) void this.told(call, child.pid);
      const [code, signal] = await over;
      const closed = new Promise<void>((done) => (child.stdout.closed && child.stderr.closed ? done() : child.on("close", () => done())));
      await this.endAll([held]); // what it left in the background, which may still hold its output open
      if (call) for (const pid of await marked(CALL, (value) => value === this.callMark(call))) end(pid);
      await closed;
      const ours = timedOut || held.killed;
      return { code: ours ? null : (code ?? 128 + (signal ? constants.signals[signal] : 0)), timedOut, killed: held.killed && !timedOut };
    } finally {
      clearTimeout(timer);
      this.running.delete(held);
    }
  }

  /** Kills all of it, or what one call started, at once, without grace; how many processes that were, and how many are left. */
  async kill(call?: string): Promise<Killed> {
    const start = performance.now();
    if (call === undefined) this.kills++;
    const some = [...this.running].filter((held) => call === undefined || held.call === call);
    for (const held of some) held.killed = true;
    const found = new Set(await this.endAll(some));
    const [name, value] = call === undefined ? [WORK, this.mark] : [CALL, this.callMark(call)];
    const look = async (): Promise<number[]> => (await marked(name, (one) => one === value)).filter((pid) => !found.has(pid));
    for (let more = await look(); more.length; more = await look()) {
      for (const pid of more) {
        found.add(pid);
        end(pid);
      }
    }
    const until = performance.now() + GONE_MS;
    let left = await living(found);
    while (left > 0 && performance.now() < until) {
      await pause(10);
      left = await living(found);
    }
    const method = WINDOWS ? "taskkill of the tree" : "SIGKILL of process groups, trees and marks";
    return { killed: found.size, left, duration_ms: performance.now() - start, method };
  }

  /** How many processes there are of it now. */
  async count(): Promise<number> {
    return (await below(roots(this.running))).length;
  }

  /** With the session's own, as two servers may number their calls alike. */
  private callMark(call: string): string {
    return `${this.mark}/${call}`;
  }

  private async endAll(some: Held[]): Promise<number[]> {
    const groups = roots(some);
    if (!groups.length) return [];
    const found = await below(groups);
    for (const target of [...groups.map((root) => (WINDOWS ? root : -root)), ...found]) end(target);
    return found;
  }

  private async told(call: string, pid: number): Promise<void> {
    const when = await born(pid);
    if (when) this.began(call, { pid, born: when });
  }
}

function roots(some: Iterable<Held>): number[] {
  return [...some].map(({ child }) => child.pid).filter((pid) => pid !== undefined);
}

/** Kills what a window that was killed left running: by the marks of its sessions, and by the first processes it noted. */
export async function endLeft(ours: (mark: string) => boolean, leaders: Leader[]): Promise<number> {
  const found = new Set(await marked(WORK, ours));
  const known: number[] = [];
  for (const { pid, born: when } of leaders) if ((await born(pid)) === when) known.push(pid);
  for (const pid of await below([...known, ...found])) found.add(pid);
  for (const target of [...(WINDOWS ? [] : known.map((pid) => -pid)), ...found]) end(target);
  return found.size;
}
