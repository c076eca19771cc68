import { mkdir, mkdtemp, readdir, readlink, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { command, environment } from "./command";
import type { Editor } from "./editor";
import type { Usage } from "./limits";
import type { Output } from "./output";
import { within, writable } from "./paths";
import type { Processes } from "./processes";
import { cut, type Done, ToolError, type WorkspaceSpec } from "./protocol";
import { leftOut } from "./call";
import type { Shadow } from "./shadow";
import { glob, words } from "./words";

const LISTED = 500;
const HITS = 200;
const SEARCH_MS = 30_000;
const NO_PERL = /Perl-compatible|PCRE/;
const GIT_MS = 120_000;
const FILE_BYTES = 16 * 1024 * 1024;

/** What a tool works with. */
export interface Hands {
  subject: string;
  call: string;
  folder: string;
  /** Where what is kept of the session lies, beside the folder. */
  place: string;
  editor: Editor;
  processes: Processes;
  usage: Usage;
  shadow: Shadow;
  /** As the newest offer of the call has it. */
  spec: () => WorkspaceSpec;
  output: Output;
  push: (branch: string, commit: string, bundle: string) => Promise<void>;
}

type Args = Record<string, unknown>;
type Tool = (hands: Hands, args: Args) => Promise<Done>;

/** The executor's tools of the catalogue. */
export const TOOLS: Record<string, Tool> = {
  read_file: readFile,
  read_files: readFiles,
  create_file_with_contents: createFile,
  edit_file: editFile,
  list_dir: listDir,
  find_files: findFiles,
  grep,
  mkdir: makeDir,
  run_command: runCommand,
  run_git_command: runGit,
  create_commit: createCommit,
};

/** Those after which the folder is looked at. */
export const CHANGES = new Set(["create_file_with_contents", "edit_file", "mkdir", "run_command", "run_git_command", "create_commit"]);

const ok = (text: string, truncated = false): Done => ({ outcome: "ok", text, truncated });

async function contents(hands: Hands, path: string): Promise<string> {
  const found = await hands.editor.read(await within(hands.folder, path));
  if (found === undefined) throw new ToolError(`There is no file ${path}.`);
  if (found.byteLength > FILE_BYTES) throw new ToolError(`${path} is larger than 16 MB; use run_command.`);
  if (found.subarray(0, 8_192).includes(0)) throw new ToolError(`${path} is a binary file of ${found.byteLength} bytes; only text files are read.`);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(found);
  } catch {
    throw new ToolError(`${path} is no text in UTF-8; use run_command.`);
  }
}

async function readFile(hands: Hands, args: Args): Promise<Done> {
  const path = String(args["file_path"]);
  const offset = Number(args["offset"] ?? 1);
  const lines = (await contents(hands, path)).split(/(?<=\n)/);
  const part = lines.slice(offset - 1, offset - 1 + Number(args["limit"] ?? 2_000));
  if (!part.length && offset > 1) throw new ToolError(`${path} has fewer than ${offset} lines.`);
  const text = cut(part.join(""));
  if (part.length === lines.length) return ok(text || "[the file is empty]", text.length < part.join("").length);
  return ok(`${text}\n[lines ${offset} to ${offset + part.length - 1} of ${lines.length}]`, true);
}

async function readFiles(hands: Hands, args: Args): Promise<Done> {
  const paths = args["file_paths"] as string[];
  let found = false;
  const parts: string[] = [];
  for (const path of paths) {
    let text: string;
    try {
      text = cut(await contents(hands, path), Math.floor(30_000 / paths.length));
      found = true;
    } catch (error) {
      text = `Not read: ${(error as Error).message}`;
    }
    parts.push(`==> ${path} <==\n${text}`);
  }
  return { outcome: found ? "ok" : "error", text: parts.join("\n\n") };
}

async function createFile(hands: Hands, args: Args): Promise<Done> {
  const path = String(args["file_path"]);
  await hands.editor.write(await writable(hands.folder, path), String(args["contents"]));
  return ok(`Wrote ${path}.`);
}

async function editFile(hands: Hands, args: Args): Promise<Done> {
  const [path, old, fresh] = [String(args["file_path"]), String(args["old_str"]), String(args["new_str"])];
  const whole = await writable(hands.folder, path);
  const before = await contents(hands, path);
  const places = before.split(old).length - 1;
  if (places !== 1) throw new ToolError(`old_str is in ${path} ${places} times; it must be there exactly once. Read the file again and copy the text, with enough lines around it.`);
  if (old === fresh) throw new ToolError("old_str and new_str are the same; nothing was changed.");
  const at = before.indexOf(old);
  await hands.editor.write(whole, before.slice(0, at) + fresh + before.slice(at + old.length));
  return ok(`Changed ${path} at line ${before.slice(0, at).split("\n").length}.`);
}

async function listDir(hands: Hands, args: Args): Promise<Done> {
  const folder = await within(hands.folder, String(args["directory"] ?? "."));
  const entries = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.name !== ".git");
  const lines = await Promise.all(entries.slice(0, LISTED).map(async (entry) => {
    if (entry.isDirectory()) return `${entry.name}/`;
    const path = join(folder, entry.name);
    if (entry.isSymbolicLink()) return `${entry.name} -> ${await readlink(path)}`;
    return `${entry.name}  ${(await stat(path)).size} bytes`;
  }));
  const more = entries.length > LISTED ? [`[… ${entries.length - LISTED} more …]`] : [];
  return ok([...lines.sort(), ...more].join("\n") || "[the folder is empty]", more.length > 0);
}

async function findFiles(hands: Hands, args: Args): Promise<Done> {
  const pattern = String(args["name_pattern"]).replace(/^\/workspace\/|^\.\//, "");
  const fits = glob(pattern);
  const found = (await hands.shadow.list()).filter((path) => fits.test(pattern.includes("/") ? path : (path.split("/").pop() ?? ""))).sort();
  if (!found.length) return ok(`No file matches ${pattern}.`);
  const more = found.length > LISTED ? ["[… more than that; use a narrower pattern …]"] : [];
  return ok([...found.slice(0, LISTED), ...more].join("\n"), more.length > 0);
}

async function grep(hands: Hands, args: Args): Promise<Done> {
  const pattern = String(args["pattern"]);
  const where = relative(hands.folder, await within(hands.folder, String(args["directory"] ?? "."))) || ".";
  const options = args["case_insensitive"] ? ["-i"] : [];
  const buffers = await unsaved(hands, where);
  let found = await searched(hands, hands.folder, ["-P", ...options], pattern, where);
  const extended = NO_PERL.test(found.fault);
  if (extended) found = await searched(hands, hands.folder, ["-E", ...options], pattern, where);
  let hits = found.hits.filter((hit) => !buffers.has(hit.slice(0, hit.indexOf(":"))));
  if (buffers.size) {
    const place = await mkdtemp(join(hands.place, "buffers-"));
    try {
      for (const [name, data] of buffers) {
        await mkdir(dirname(join(place, name)), { recursive: true });
        await writeFile(join(place, name), data);
      }
      hits = [...(await searched(hands, place, [extended ? "-E" : "-P", ...options], pattern, ".")).hits, ...hits];
    } finally {
      await rm(place, { recursive: true, force: true });
    }
  }
  const note = extended ? ["[This git has no Perl expressions: the pattern was read as an extended regular expression, without \\d, \\w and the like.]"] : [];
  if (!hits.length) return ok([`No line matches ${pattern}.`, ...note].join("\n"));
  const more = hits.length > HITS ? ["[… more than that; search in one folder, or more narrowly …]"] : [];
  return ok([...hits.slice(0, HITS).map((hit) => hit.slice(0, 300)), ...more, ...note].join("\n"), more.length > 0);
}

async function searched(hands: Hands, cwd: string, options: string[], pattern: string, where: string): Promise<{ hits: string[]; fault: string }> {
  const argv = ["git", "grep", "--no-index", "--exclude-standard", "-nI", "--no-color", ...options, "-e", pattern, "--", where];
  let text = "";
  const ended = await hands.processes.run(hands.call, argv, {
    cwd, env: environment(), timeoutMs: SEARCH_MS,
    said: (words) => {
      if (text.length < 1_000_000) text += words;
    },
  });
  if (ended.timedOut) throw new ToolError("The search was not done after 30 seconds. Search in one folder, or more simply.");
  if (ended.killed) throw new ToolError("The search was ended.");
  if (NO_PERL.test(text) && ended.code === 128) return { hits: [], fault: text };
  if (ended.code !== 0 && ended.code !== 1) throw new ToolError(`The search was refused: ${text.slice(0, 500)}`);
  return { hits: text.split("\n").filter(Boolean), fault: "" };
}

/** What stands in the editor otherwise than on disk, by its name in the folder, as far as it is not ignored. */
async function unsaved(hands: Hands, where: string): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  const paths = await hands.editor.unsaved();
  if (!paths.length) return found;
  const known = new Set(await hands.shadow.list());
  for (const path of paths) {
    const name = relative(hands.folder, path).split(sep).join("/");
    if (!known.has(name) || !(where === "." || name === where || name.startsWith(`${where}/`))) continue;
    const data = await hands.editor.read(path);
    if (data) found.set(name, data);
  }
  return found;
}

async function makeDir(hands: Hands, args: Args): Promise<Done> {
  const path = String(args["directory_path"]);
  await mkdir(await writable(hands.folder, path), { recursive: true });
  return ok(`Made ${path}.`);
}

async function runCommand(hands: Hands, args: Args): Promise<Done> {
  const line = String(args["command"]);
  const seconds = Number(args["timeout_seconds"] ?? 300);
  const shell = process.platform === "win32" ? ["cmd.exe", "/d", "/s", "/c", line] : ["sh", "-c", line];
  return command(hands, line, shell, seconds, (code) => `Exit code ${code}.`);
}

async function runGit(hands: Hands, args: Args): Promise<Done> {
  const name = String(args["command"]);
  const given = words(String(args["args"] ?? ""));
  const line = `git ${name} ${String(args["args"] ?? "")}`.trim();
  return command(hands, line, ["git", "--no-pager", name, ...given], GIT_MS / 1_000, (code) => `git ${name}: exit code ${code}.`);
}

async function createCommit(hands: Hands, args: Args): Promise<Done> {
  const made = await hands.shadow.branchCommit(hands.spec, String(args["message"]));
  const { branch } = hands.spec();
  await hands.push(branch, made.commit, made.bundle);
  const files = made.files.map((file) => `${file.change} ${file.path} +${file.added} -${file.removed}`);
  return ok(cut([`Committed ${made.commit.slice(0, 10)} on ${branch} and pushed it.`, ...files, leftOut(made.left)].filter(Boolean).join("\n")));
}
