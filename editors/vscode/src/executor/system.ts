/** What the system says of processes, and how they are ended. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const WINDOWS = process.platform === "win32";
const LINUX = process.platform === "linux";

/** Kills a process, or (below zero) a group of them, or on Windows a tree. */
export function end(target: number): void {
  if (WINDOWS) return void run("taskkill", ["/pid", String(target), "/T", "/F"]).catch(() => undefined);
  try {
    process.kill(target, "SIGKILL");
  } catch {
    // gone already
  }
}

/** Processes of ours that have a variable of such a value in their environment, as Linux shows it; also those that left their parents. */
export async function marked(name: string, fits: (value: string) => boolean): Promise<number[]> {
  const found: number[] = [];
  if (!LINUX) return found;
  for (const pid of await readdir("/proc").catch(() => [])) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
    const value = environment.split("\0").find((line) => line.startsWith(`${name}=`));
    if (value !== undefined && fits(value.slice(name.length + 1))) found.push(Number(pid));
  }
  return found;
}

/** The processes of some groups, and all below any of them, that are no zombies. */
export async function below(roots: number[]): Promise<number[]> {
  if (WINDOWS || !roots.length) return roots;
  const { stdout } = await run("ps", ["-A", "-o", "pid=,ppid=,pgid=,state="]).catch(() => ({ stdout: "" }));
  const rows = stdout.split("\n").map((line) => line.trim().split(/\s+/));
  const tops = new Set(roots);
  const found = new Set<number>();
  let grew = true;
  while (grew) {
    grew = false;
    for (const [pid, parent, group, state] of rows) {
      const mine = Number(pid);
      const belongs = tops.has(Number(group)) || tops.has(mine) || found.has(Number(parent)) || found.has(Number(group));
      if (mine && belongs && !found.has(mine) && !(state ?? "Z").startsWith("Z")) {
        found.add(mine);
        grew = true;
      }
    }
  }
  return [...found];
}

/** How many of them are there and no zombies. */
export async function living(pids: Set<number>): Promise<number> {
  let count = 0;
  for (const pid of pids) if (lives(pid) && !(LINUX && (await zombie(pid)))) count++;
  return count;
}

export function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function zombie(pid: number): Promise<boolean> {
  return readFile(`/proc/${pid}/stat`, "latin1").then((text) => fields(text)[0] === "Z", () => true);
}

/** When a process began, by which it is told from a later one of its number; empty where that isn't known. */
export async function born(pid: number): Promise<string> {
  if (LINUX) return bornNow(pid);
  if (WINDOWS) return "";
  return run("ps", ["-o", "lstart=", "-p", String(pid)]).then(({ stdout }) => stdout.trim(), () => "");
}

/** Read at once, so that it is noted before what the process prints can be heard of. */
function bornNow(pid: number): string {
  try {
    return fields(readFileSync(`/proc/${pid}/stat`, "latin1"))[19] ?? "";
  } catch {
    return "";
  }
}

/** Those behind the name, which may hold anything. */
function fields(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}
