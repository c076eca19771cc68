import { access, chmod, constants, lstat, mkdir, rm, rmdir, stat, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Stats } from "node:fs";
import type { Editor } from "./editor";
import { own } from "./paths";

/** Larger files are in no snapshot and no commit, and the result says so; forges refuse them as well. */
export const FILE_BYTES = 100 * 1024 * 1024;
const LINK = "120000";
const PROGRAM = "100755";

/** What a commit has at a path: its mode as git writes it, and its bytes, which are a link's target. */
export interface Content {
  mode: string;
  data: Buffer;
}

/** Makes what is at a name in the folder what a commit has there. Never writes through a link: one in its place goes. */
export async function put(folder: string, editor: Editor, name: string, content: Content | undefined): Promise<void> {
  const path = await own(folder, name);
  const found = await lstat(path).catch(() => undefined);
  if (content === undefined) {
    await (found?.isSymbolicLink() ? rm(path, { force: true }) : editor.remove(path));
    return prune(folder, dirname(path));
  }
  if (found?.isSymbolicLink() || (found && content.mode === LINK)) await rm(path, { force: true });
  if (content.mode === LINK) {
    await mkdir(dirname(path), { recursive: true });
    return symlink(content.data, path);
  }
  const text = content.data.toString("utf8");
  await editor.write(path, content.data.includes(0) || !Buffer.from(text).equals(content.data) ? content.data : text);
  const { mode } = await stat(path);
  const wanted = content.mode === PROGRAM ? mode | ((mode & 0o444) >> 2) : mode & ~0o111;
  if (wanted !== mode) await chmod(path, wanted);
}

/** Folders in which nothing is left go with it, as git has none. */
async function prune(folder: string, from: string): Promise<void> {
  for (let path = from; path !== folder && path.startsWith(folder); path = dirname(path)) {
    if (!(await rmdir(path).then(() => true, () => false))) return;
  }
}

export interface Sorted {
  taken: string[];
  gone: string[];
  /** Folders where git knew a file, or another repository. */
  folders: string[];
  /** Too large, or not to be read. */
  left: string[];
}

/** What of these names, in Latin-1 as bytes, goes into a snapshot: files and links that lie in the folder itself. */
export async function sorted(folder: string, names: string[]): Promise<Sorted> {
  const found: Sorted = { taken: [], gone: [], folders: [], left: [] };
  const inside = new Map<string, boolean>([["", true]]);
  for (const name of names) {
    const path = bytes(folder, name);
    const about = (await lies(folder, parent(name), inside)) ? await lstat(path).catch(() => undefined) : undefined;
    const list = !about ? "gone" : about.isDirectory() ? "folders" : about.isSymbolicLink() ? "taken" : !about.isFile() ? "gone" : (await fits(path, about)) ? "taken" : "left";
    found[list].push(name);
  }
  return found;
}

async function fits(path: Buffer, about: Stats): Promise<boolean> {
  return about.size <= FILE_BYTES && access(path, constants.R_OK).then(() => true, () => false);
}

/** Whether a folder is one all the way up, and no link to somewhere else. */
async function lies(folder: string, name: string, known: Map<string, boolean>): Promise<boolean> {
  const answer = known.get(name);
  if (answer !== undefined) return answer;
  const above = await lies(folder, parent(name), known);
  const here = above && (await lstat(bytes(folder, name)).then((found) => found.isDirectory(), () => false));
  known.set(name, here);
  return here;
}

function parent(name: string): string {
  const end = name.lastIndexOf("/");
  return end < 0 ? "" : name.slice(0, end);
}

function bytes(folder: string, name: string): Buffer {
  return Buffer.concat([Buffer.from(join(folder, "/")), Buffer.from(name, "latin1")]);
}
