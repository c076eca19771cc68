import { execFile, spawn } from "node:child_process";
import { createWriteStream, existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type FileChange, ToolError, type WorkspaceSpec } from "./protocol";

const run = promisify(execFile);
const MOST = 512 * 1024 * 1024;
const FILES_LISTED = 2_000;
const SETTINGS = {
  "core.attributesFile": "/dev/null",
  "core.autocrlf": "false",
  "core.fsmonitor": "false",
  "core.hooksPath": "/dev/null",
  "gc.auto": "0",
  "maintenance.auto": "false",
  "http.followRedirects": "false",
  "protocol.allow": "never",
  "protocol.http.allow": "always",
  "protocol.https.allow": "always",
  "safe.directory": "*",
};
const NOBODY = { name: "Quarterdeck", email: "snapshots@quarterdeck.invalid" };
const DIFF = ["diff", "--no-ext-diff", "--no-textconv", "--no-color", "--find-renames"];

/** What is known of a session's snapshots here. */
interface State {
  base: string;
  epoch: number;
  step: number;
  commit: string;
  start: string;
}

export interface Snapshot {
  step: number;
  commit: string;
  files: FileChange[];
  bundle: string;
  stepDiff: string;
  wholeDiff: string;
}

/** A git repository beside the folder, of one session: what the folder held, step by step. The folder's own is never touched. */
export class Shadow {
  state: State | undefined;
  private readonly gitDir: string;
  private looking: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly place: string,
    readonly folder: string,
    private readonly url: string,
  ) {
    this.gitDir = join(place, "shadow.git");
  }

  /** Has the base of the session; answers whether nothing was known of it here before. */
  async open(spec: WorkspaceSpec): Promise<boolean> {
    if ((await this.remembered())?.base === spec.commit) return false;
    await rm(this.place, { recursive: true, force: true });
    await mkdir(this.place, { recursive: true, mode: 0o700 });
    await this.git(["init", "--quiet", "--bare", this.gitDir], {}, false);
    const own = await this.checkoutObjects();
    if (own) await writeFile(join(this.gitDir, "objects", "info", "alternates"), `${own}\n`);
    await writeFile(join(this.gitDir, "info", "exclude"), await this.excludes());
    if (!(await this.has(spec.commit))) await this.fetch(spec, [spec.commit]);
    await this.git(["read-tree", spec.commit]);
    return true;
  }

  /** What the folder held when the session came here, as its first step. */
  async start(spec: WorkspaceSpec, epoch: number): Promise<Snapshot> {
    const commit = await this.commit(await this.tree(), [spec.commit], "What the folder held");
    const snapshot = await this.told(1, commit, commit, commit, spec.commit);
    await this.keep({ base: spec.commit, epoch, step: 1, commit, start: commit });
    return snapshot;
  }

  /** What changed since the last step; undefined when nothing did. */
  async take(): Promise<Snapshot | undefined> {
    const state = this.known();
    const tree = await this.tree();
    if (tree === (await this.line(["rev-parse", `${state.commit}^{tree}`]))) return undefined;
    const parents = state.start ? [state.base, state.start] : [state.base];
    const commit = await this.commit(tree, parents, `Step ${state.step + 1}`);
    return this.told(state.step + 1, commit, state.commit, state.start || state.base, state.base);
  }

  /** Takes a snapshot as known, once what tells of it is in the journal. */
  async settle(step: number, commit: string): Promise<void> {
    await this.keep({ ...this.known(), step, commit });
  }

  /** The session is here under another lease; nothing else has worked on it meanwhile, or `bring` has been called. */
  async renew(epoch: number): Promise<void> {
    await this.keep({ ...this.known(), epoch });
  }

  /**
   * What has to be done to a file so that it is as of the session's last snapshot, which was taken elsewhere.
   *
   * Each file that the session changed must be here as the session found it, or as it left it.
   */
  async bring(spec: WorkspaceSpec, epoch: number, download: (blob: number, target: string) => Promise<void>): Promise<Map<string, Buffer | undefined>> {
    const target = spec.snapshot_commit || spec.commit;
    if (!(await this.has(target))) {
      if (spec.bundle_blob === null) throw new ToolError(`The snapshot ${target} isn't here, and the server named none to fetch.`);
      const bundle = join(this.place, "restore.bundle");
      await download(spec.bundle_blob, bundle);
      await this.git(["bundle", "unbundle", bundle]);
      await rm(bundle);
    }
    const found = this.state?.commit || spec.start_commit || spec.commit;
    const now = await this.tree();
    const names = split(await this.git(["diff", "--name-only", "--no-renames", "-z", found, target]));
    const changes = new Map<string, Buffer | undefined>();
    const conflicts: string[] = [];
    for (const name of names) {
      const [mine, before, after] = await Promise.all([now, found, target].map((at) => this.blob(at, name)));
      if (mine === after) continue;
      if (mine !== before) conflicts.push(name);
      else changes.set(name, after ? await this.git(["cat-file", "blob", after]) : undefined);
    }
    if (conflicts.length) {
      throw new ToolError(
        `This folder doesn't hold what the session left elsewhere, and these files were changed here: ${conflicts.slice(0, 10).join(", ")}. ` +
          "Nothing was touched. Commit or stash them, or hand the session over to a runner.",
      );
    }
    await this.keep({ base: spec.commit, epoch, step: spec.step, commit: target, start: spec.start_commit });
    return changes;
  }

  /** All changes as one commit of the session's branch; the folder's own branch and index stay as they are. */
  async branchCommit(spec: WorkspaceSpec, message: string): Promise<{ commit: string; parent: string; bundle: string; files: FileChange[] }> {
    const ref = `refs/heads/${spec.branch}`;
    const parent = await this.parent(spec, ref);
    const tree = await this.changed(parent);
    if (tree === (await this.line(["rev-parse", `${parent}^{tree}`]))) throw new ToolError("There is nothing to commit: the session has changed no file since.");
    const commit = await this.commit(tree, [parent], message, { name: spec.author, email: spec.author_email }, { name: spec.committer, email: spec.committer_email });
    await this.git(["update-ref", ref, commit]);
    const bundle = join(this.place, "commit.bundle");
    await this.write(["bundle", "create", "--quiet", "-", ref, `^${spec.commit}`], bundle);
    return { commit, parent, bundle, files: await this.changes(parent, commit) };
  }

  /** The tip of the session's branch at the server, if all behind the base is the session's own; else the base. */
  private async parent(spec: WorkspaceSpec, ref: string): Promise<string> {
    await this.fetch(spec, ["+refs/heads/*:refs/remotes/server/*"]);
    const tip = await this.line(["rev-parse", "--verify", "--quiet", ref.replace("refs/heads/", "refs/remotes/server/")]).catch(() => "");
    if (!tip) return spec.commit;
    const pushed = await this.line(["log", "--format=%h %ae %ce", `${spec.branch_commit || spec.commit}..${tip}`]);
    const foreign = pushed.split("\n").filter((line) => line && !line.endsWith(` ${spec.author_email} ${spec.committer_email}`));
    if (foreign.length) {
      const named = foreign.slice(0, 3).map((line) => line.split(" ")[0]).join(", ");
      throw new ToolError(`The branch ${spec.branch} has commits that this session didn't make (${named}). Nothing was committed. Start a new session from that branch.`);
    }
    return tip;
  }

  /** The tree of a commit with what the session changed in it, and nothing of what the person has there besides. */
  private async changed(parent: string): Promise<string> {
    const state = this.known();
    const now = await this.tree();
    const env = { GIT_INDEX_FILE: join(this.place, "commit.index") };
    await this.git(["read-tree", parent], env);
    for (const name of split(await this.git(["diff", "--name-only", "--no-renames", "-z", state.start || state.base, now]))) {
      const entry = (await this.line(["ls-tree", "-z", now, "--", name])).replace(/\0$/, "");
      const [mode = "", , blob = ""] = entry.split(/[ \t]/, 3);
      await this.git(blob ? ["update-index", "--add", "--cacheinfo", `${mode},${blob},${name}`] : ["update-index", "--force-remove", "--", name], env);
    }
    return (await this.git(["write-tree"], env)).toString().trim();
  }

  /** Names of files that match, as git lists them: what the folder ignores is left out. */
  async list(): Promise<string[]> {
    return split(await this.git(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]));
  }

  /** What differs now from what the folder held when the session began, each with what it is now. */
  async pending(): Promise<(FileChange & { blob: string })[]> {
    const start = (await this.remembered())?.start;
    if (!start) return [];
    const tree = await this.tree();
    const files = await this.changes(start, tree);
    return Promise.all(files.map(async (file) => ({ ...file, blob: await this.blob(tree, file.path) })));
  }

  /** A file as the folder held it when the session began; undefined if there was none. */
  async original(name: string): Promise<Buffer | undefined> {
    const start = (await this.remembered())?.start;
    const blob = start ? await this.blob(start, name) : "";
    return blob ? this.git(["cat-file", "blob", blob]) : undefined;
  }

  async delete(): Promise<void> {
    await rm(this.place, { recursive: true, force: true });
    this.state = undefined;
  }

  /** Runs git on the shadow; fails with what git said. */
  async git(args: string[], env: NodeJS.ProcessEnv = {}, ours = true): Promise<Buffer> {
    const all = Object.entries(SETTINGS).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    const where = ours ? [`--git-dir=${this.gitDir}`, `--work-tree=${this.folder}`] : [];
    try {
      const { stdout } = await run("git", [...all, ...where, ...args], { cwd: existsSync(this.folder) ? this.folder : undefined, env: this.environment(env), encoding: "buffer", maxBuffer: MOST });
      return stdout;
    } catch (error) {
      const said = (error as { stderr?: Buffer }).stderr?.toString("utf8").trim();
      throw new Error(`git ${args[0] ?? ""}: ${said || (error as Error).message}`.slice(0, 2_000));
    }
  }

  private environment(more: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
    const kept = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_")));
    return { ...kept, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1", GIT_TERMINAL_PROMPT: "0", LC_ALL: "C", ...more };
  }

  private async remembered(): Promise<State | undefined> {
    this.state ??= await readFile(join(this.place, "state.json"), "utf8").then(
      (text) => JSON.parse(text) as State,
      () => undefined,
    );
    return this.state;
  }

  private async fetch(spec: WorkspaceSpec, refs: string[]): Promise<void> {
    const sign = Buffer.from(`session:${spec.token}`).toString("base64");
    const header = { GIT_CONFIG_COUNT: "1", GIT_CONFIG_KEY_0: "http.extraHeader", GIT_CONFIG_VALUE_0: `Authorization: Basic ${sign}` };
    await this.git(["fetch", "--quiet", "--no-tags", `${this.url}/${spec.clone_path.replace(/^\//, "")}`, ...refs], header);
  }

  private async checkoutObjects(): Promise<string> {
    const asked = ["-C", this.folder, "rev-parse", "--path-format=absolute", "--git-path", "objects"];
    return this.git(asked, {}, false).then((out) => out.toString().trim(), () => "");
  }

  /** What the person's own git leaves out beside `.gitignore`: their settings for this checkout and for all. */
  private async excludes(): Promise<string> {
    const env = { GIT_CONFIG_GLOBAL: undefined, GIT_CONFIG_NOSYSTEM: undefined };
    const ask = (...words: string[]): Promise<string> => this.git(["-C", this.folder, ...words], env, false).then((out) => out.toString().trim(), () => "");
    const own = await ask("rev-parse", "--path-format=absolute", "--git-path", "info/exclude");
    const all = (await run("git", ["-C", this.folder, "config", "--type=path", "core.excludesFile"]).then(({ stdout }) => stdout.trim(), () => "")) || join(homedir(), ".config", "git", "ignore");
    const texts = await Promise.all([own, all].map((path) => (path ? readFile(path, "utf8").catch(() => "") : "")));
    return texts.join("\n");
  }

  private async has(commit: string): Promise<boolean> {
    return this.git(["cat-file", "-e", `${commit}^{commit}`]).then(() => true, () => false);
  }

  /** One at a time: they share git's index. */
  private async tree(): Promise<string> {
    const before = this.looking;
    const now = before.then(async () => {
      const nested = split(await this.git(["ls-files", "-z", "--others", "--exclude-standard"])).filter((name) => name.endsWith("/"));
      await this.git(["add", "--all", "--ignore-errors", "--", ".", ...nested.map((name) => `:(exclude,literal)${name.slice(0, -1)}`)]);
      return this.line(["write-tree"]);
    });
    this.looking = now.catch(() => undefined);
    return now;
  }

  private async blob(at: string, name: string): Promise<string> {
    return this.line(["rev-parse", "--verify", "--quiet", `${at}:${name}`]).catch(() => "");
  }

  private async commit(tree: string, parents: string[], message: string, author = NOBODY, committer = NOBODY): Promise<string> {
    const who = {
      GIT_AUTHOR_NAME: author.name, GIT_AUTHOR_EMAIL: author.email,
      GIT_COMMITTER_NAME: committer.name, GIT_COMMITTER_EMAIL: committer.email,
    };
    const args = ["commit-tree", tree, ...parents.flatMap((one) => ["-p", one]), "-m", message];
    return (await this.git(args, who)).toString().trim();
  }

  private async told(step: number, commit: string, known: string, start: string, base: string): Promise<Snapshot> {
    const ref = `refs/steps/${step}`;
    await this.git(["update-ref", ref, commit]);
    const [bundle, stepDiff, wholeDiff] = ["bundle", "step.diff", "whole.diff"].map((part) => join(this.place, `${step}.${part}`)) as [string, string, string];
    await this.write(["bundle", "create", "--quiet", "-", ref, `^${base}`], bundle);
    await this.write([...DIFF, "--patch", known, commit], stepDiff);
    await this.write([...DIFF, "--patch", start, commit], wholeDiff);
    return { step, commit, files: await this.changes(known, commit), bundle, stepDiff, wholeDiff };
  }

  private async changes(before: string, after: string): Promise<FileChange[]> {
    const kinds = new Map<string, FileChange["change"]>();
    const letters: Record<string, FileChange["change"]> = { A: "added", D: "deleted", R: "renamed", C: "added" };
    const status = split(await this.git([...DIFF, "--name-status", "-z", before, after]));
    for (let at = 0; at < status.length; at += 2) {
      const letter = (status[at] ?? "").charAt(0);
      if (letter === "R" || letter === "C") at++;
      kinds.set(status[at + 1] ?? "", letters[letter] ?? "modified");
    }
    const numbers = split(await this.git([...DIFF, "--numstat", "-z", before, after]));
    const found: FileChange[] = [];
    for (let at = 0; at < numbers.length && found.length < FILES_LISTED; at++) {
      const [added = "", removed = "", name = ""] = (numbers[at] ?? "").split("\t");
      const path = name || (numbers[(at += 2)] ?? "");
      found.push({ path, change: kinds.get(path) ?? "modified", added: Number(added) || 0, removed: Number(removed) || 0 });
    }
    return found;
  }

  private async write(args: string[], target: string): Promise<void> {
    const all = Object.entries(SETTINGS).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    const git = spawn("git", [...all, `--git-dir=${this.gitDir}`, ...args], { env: this.environment({}), stdio: ["ignore", "pipe", "ignore"] });
    const file = createWriteStream(target, { mode: 0o600 });
    git.stdout.pipe(file);
    await new Promise<void>((done, failed) => {
      git.on("error", failed);
      file.on("error", failed);
      file.on("close", done);
    });
    if ((git.exitCode ?? (await new Promise<number | null>((done) => git.on("exit", done)))) !== 0) throw new Error(`git ${args[0] ?? ""} failed`);
  }

  private async line(args: string[]): Promise<string> {
    return (await this.git(args)).toString("utf8").trim();
  }

  private known(): State {
    if (!this.state) throw new Error("the folder was not taken up");
    return this.state;
  }

  private async keep(state: State): Promise<void> {
    await writeFile(join(this.place, "state.new"), JSON.stringify(state), { mode: 0o600 });
    await rename(join(this.place, "state.new"), join(this.place, "state.json"));
    this.state = state;
  }
}

function split(listed: Buffer): string[] {
  return listed.toString("utf8").split("\0").slice(0, -1);
}
