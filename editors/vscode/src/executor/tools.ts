import { readdir, readlink, stat, mkdir } from "node:fs/promises";
import { join, relative } from "node:path";
import type { Editor } from "./editor";
import { within, writable } from "./paths";
import type { Processes } from "./processes";
import { cut, type Done, ToolError, type WorkspaceSpec } from "./protocol";
import type { Shadow } from "./shadow";
import { glob, words } from "./words";

const LISTED = 500;
const HITS = 200;
const SEARCH_MS = 30_000;
const GIT_MS = 120_000;
const FILE_BYTES = 16 * 1024 * 1024;

/** What a tool works with. */
export interface Hands {
  subject: string;
  folder: string;
  editor: Editor;
  processes: Processes;
  shadow: Shadow;
  spec: WorkspaceSpec;
  printed: (data: Buffer) => void;
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
  const argv = ["git", "grep", "--no-index", "--exclude-standard", "-nIP", "--no-color", ...(args["case_insensitive"] ? ["-i"] : []), "-e", pattern, "--", where];
  let text = "";
  const ended = await hands.processes.run(argv, hands.folder, environment(), SEARCH_MS, (data) => {
    if (text.length < 1_000_000) text += data.toString("utf8");
  });
  if (ended.timedOut) throw new ToolError("The search was not done after 30 seconds. Search in one folder, or more simply.");
  if (ended.code !== 0 && ended.code !== 1) throw new ToolError(`The search was refused: ${text.slice(0, 500)}`);
  const hits = text.split("\n").filter(Boolean);
  if (!hits.length) return ok(`No line matches ${pattern}.`);
  const more = hits.length > HITS ? ["[… more than that; search in one folder, or more narrowly …]"] : [];
  return ok([...hits.slice(0, HITS).map((hit) => hit.slice(0, 300)), ...more].join("\n"), more.length > 0);
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
  return shown(hands, line, shell, seconds, (code) => `Exit code ${code}.`);
}

async function runGit(hands: Hands, args: Args): Promise<Done> {
  const command = String(args["command"]);
  const given = words(String(args["args"] ?? ""));
  const line = `git ${command} ${String(args["args"] ?? "")}`.trim();
  return shown(hands, line, ["git", "--no-pager", command, ...given], GIT_MS / 1_000, (code) => `git ${command}: exit code ${code}.`);
}

async function shown(hands: Hands, line: string, argv: string[], seconds: number, heading: (code: number | null) => string): Promise<Done> {
  let text = "";
  const terminal = hands.editor.terminal(hands.subject, line, () => void hands.processes.kill());
  const ended = await hands.processes.run(argv, hands.folder, environment(), seconds * 1_000, (data) => {
    terminal.write(data.toString("utf8"));
    hands.printed(data);
    if (text.length < 4_000_000) text += data.toString("utf8");
  });
  terminal.end(ended.timedOut ? `Killed after ${seconds} seconds.` : ended.killed ? "Killed." : heading(ended.code));
  const body = cut(text).trimEnd();
  if (ended.timedOut) return { outcome: "timed_out", text: `Killed after ${seconds} seconds, with all that it started.\n${body}`, exitCode: ended.code };
  if (ended.killed) return { outcome: "cancelled", text: `Killed by the person.\n${body}`, exitCode: ended.code };
  return { outcome: ended.code === 0 ? "ok" : "error", text: `${heading(ended.code)}\n${body}`.trimEnd(), exitCode: ended.code };
}

async function createCommit(hands: Hands, args: Args): Promise<Done> {
  const made = await hands.shadow.branchCommit(hands.spec, String(args["message"]));
  await hands.push(hands.spec.branch, made.commit, made.bundle);
  const files = made.files.map((file) => `${file.change} ${file.path} +${file.added} -${file.removed}`);
  return ok(cut(`Committed ${made.commit.slice(0, 10)} on ${hands.spec.branch} and pushed it.\n${files.join("\n")}`));
}

/** Of commands: the person's own, but nobody asks for anything. */
function environment(): NodeJS.ProcessEnv {
  return { ...process.env, GIT_TERMINAL_PROMPT: "0", PAGER: "cat", GIT_PAGER: "cat", TERM: "dumb" };
}
