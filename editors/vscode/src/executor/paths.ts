import { lstat, realpath } from "node:fs/promises";
import { dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { ToolError } from "./protocol";

/** The whole path of one in the folder; nothing leaves it, by no `..` and by no link. */
export async function within(folder: string, path: string): Promise<string> {
  const inner = path === "/workspace" ? "." : path.replace(/^\/workspace\//, "");
  const whole = resolve(folder, inner);
  if (path.includes("\0") || leaves(folder, whole)) throw new ToolError(`${path} is not in the folder of this session.`);
  const root = await realpath(folder);
  if (leaves(root, await real(whole))) throw new ToolError(`${path} leads out of the folder by a link.`);
  return whole;
}

/** The same, outside of `.git`. */
export async function writable(folder: string, path: string): Promise<string> {
  const whole = await within(folder, path);
  const root = await realpath(folder);
  const parts = [...relative(folder, whole).split(sep), ...relative(root, await real(whole)).split(sep)];
  if (parts.some((part) => part.toLowerCase() === ".git")) throw new ToolError("Files of .git are not written.");
  return whole;
}

/** A place in the folder for what is put there itself: no part of the way to it is a link. */
export async function own(folder: string, name: string): Promise<string> {
  const whole = resolve(folder, name);
  if (!name || name.includes("\0") || whole === resolve(folder) || leaves(folder, whole)) throw new ToolError(`${name} is not in the folder of this session.`);
  const parts = relative(folder, whole).split(sep);
  if (parts.some((part) => part.toLowerCase() === ".git")) throw new ToolError("Files of .git are not written.");
  let above = folder;
  for (const part of parts.slice(0, -1)) {
    above = join(above, part);
    if (await lstat(above).then((found) => found.isSymbolicLink(), () => false)) throw new ToolError(`${name} leads through the link ${relative(folder, above)}; nothing is written there.`);
  }
  return whole;
}

function leaves(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way === ".." || way.startsWith(`..${sep}`) || isAbsolute(way);
}

/** Where a path leads, also one at which nothing is yet. */
async function real(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    const link = await lstat(path).then((found) => found.isSymbolicLink(), () => false);
    if (link) throw new ToolError(`${path} is a link that leads nowhere.`);
    const above = dirname(path);
    return above === path ? path : join(await real(above), relative(above, path));
  }
}
