import { linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Journal } from "./journal";
import { born, lives } from "./system";

/** Another window works with the same folder. */
export class HeldError extends Error {}

/** What an executor keeps on disk: its journal, and a place for each session. One window has it at a time. */
export class Home {
  private constructor(
    readonly folder: string,
    readonly journal: Journal,
    private readonly lock: string,
  ) {}

  /** Takes it. Throws HeldError while another window has it. */
  static async open(folder: string): Promise<Home> {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const lock = join(folder, "lock");
    await take(lock);
    try {
      return new Home(folder, new Journal(join(folder, "journal.jsonl")), lock);
    } catch (error) {
      rmSync(lock, { force: true });
      throw error;
    }
  }

  place(subject: string): string {
    if (!/^session:\d{1,18}$/.test(subject)) throw new Error(`An editor works on sessions, not on ${subject}.`);
    return join(this.folder, subject.replace(":", "-"));
  }

  /** All sessions of which something is kept here. */
  get subjects(): string[] {
    const kept = readdirSync(this.folder).filter((name) => /^session-\d+$/.test(name));
    return [...new Set([...kept.map((name) => name.replace("-", ":")), ...this.journal.subjects])].sort();
  }

  close(): void {
    this.journal.close();
    rmSync(this.lock, { force: true });
  }
}

/** Makes the file that says whose it is, unless that one lives. */
async function take(lock: string): Promise<void> {
  const ours = `${process.pid} ${await born(process.pid)}`;
  const mine = `${lock}.${process.pid}`;
  writeFileSync(mine, ours, { mode: 0o600 });
  try {
    for (;;) {
      if (linked(mine, lock)) return;
      const holder = said(lock);
      const [pid = "", ...when] = holder.split(" ");
      if (holder && lives(Number(pid)) && (await born(Number(pid))) === when.join(" ")) {
        throw new HeldError("Another window of this editor works in this folder. Close it to work here.");
      }
      // Two may find it dead at once: who took away a newer one puts it back.
      const stale = `${mine}.stale`;
      if (renamed(lock, stale) && said(stale) !== holder) linked(stale, lock);
      rmSync(stale, { force: true });
    }
  } finally {
    rmSync(mine, { force: true });
  }
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function renamed(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch {
    return false;
  }
}

function said(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
