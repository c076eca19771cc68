import { existsSync, type FSWatcher, linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Journal } from "./journal";
import { born, lives } from "./system";

const LOCK = "lock";
/** By this file another window asks for it. */
const WANTED = "wanted";
const PATIENCE_MS = 5_000;

/** Another window works with the same folder. */
export class HeldError extends Error {}

/** What an executor keeps on disk: its journal, and a place for each session. One window has it at a time. */
export class Home {
  private watching: FSWatcher | undefined;

  private constructor(
    readonly folder: string,
    readonly journal: Journal,
    private readonly lock: string,
  ) {}

  /** Takes it. Throws HeldError while another window has it. */
  static async open(folder: string): Promise<Home> {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const lock = join(folder, LOCK);
    await take(lock);
    rmSync(join(folder, WANTED), { force: true });
    try {
      return new Home(folder, new Journal(join(folder, "journal.jsonl")), lock);
    } catch (error) {
      rmSync(lock, { force: true });
      throw error;
    }
  }

  /** Asks the window that has it to let go, and waits for that for a while: it may be one that nobody sees any more. */
  static async ask(folder: string): Promise<void> {
    const lock = join(folder, LOCK);
    await new Promise<void>((done) => {
      const watching = watch(folder, () => existsSync(lock) || end());
      const timer = setTimeout(end, PATIENCE_MS);
      function end(): void {
        clearTimeout(timer);
        watching.close();
        done();
      }
      writeFileSync(join(folder, WANTED), "", { mode: 0o600 });
    });
  }

  /** Calls back once another window asks for it. */
  onWanted(listener: () => void): void {
    this.watching = watch(this.folder, (_, name) => {
      if (name !== WANTED || !existsSync(join(this.folder, WANTED))) return;
      this.watching?.close();
      listener();
    });
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
    this.watching?.close();
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
        throw new HeldError("Another window of this editor works in this folder.");
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
