import { lstat, mkdir, readFile, realpath, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { type Content, sorted } from "./files";
import { environment, Git, split } from "./git";
import type { Processes } from "./processes";
import { type FileChange, pause, ToolError, type WorkspaceSpec } from "./protocol";

const FILES_LISTED = 2_000;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;
/** What git says of a server that is away for a moment, or of a token that the next offer replaces. */
const PASSES = /returned error: (5\d\d|429|401|403)|Could not resolve|Failed to connect|Couldn't connect|Empty reply|Authentication failed|could not read Username/i;
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
  /** Files that are too large, or can't be read. */
  left: string[];
  bundle: string;
  stepDiff: string;
  wholeDiff: string;
}

interface Entry {
  mode: string;
  blob: string;
}

/** A git repository beside the folder, of one session: what the folder held, step by step. The folder's own is never touched. */
export class Shadow {
  state: State | undefined;
  private readonly git: Git;
  private looking: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly place: string,
    readonly folder: string,
    private readonly url: string,
    private readonly processes: Processes,
    private readonly fetchMs: number,
  ) {
    this.git = new Git(join(place, "shadow.git"), folder);
  }

  /** Has the base of the session; answers whether nothing was known of it here before. `spec` is the newest offer's. */
  async open(spec: () => WorkspaceSpec): Promise<boolean> {
    const { commit } = spec();
    if ((await this.remembered())?.base === commit) return false;
    const larger = await outer(this.folder);
    if (larger) throw new ToolError(`${this.folder} is a part of the checkout ${larger}. Sessions work on whole checkouts: open ${larger} in the editor.`);
    await rm(this.place, { recursive: true, force: true });
    await mkdir(this.place, { recursive: true, mode: 0o700 });
    await this.git.plain(["init", "--quiet", "--bare", this.git.gitDir]);
    const own = await this.checkoutObjects();
    if (own) await writeFile(join(this.git.gitDir, "objects", "info", "alternates"), `${own}\n`);
    await writeFile(join(this.git.gitDir, "info", "exclude"), await this.excludes());
    if (!(await this.has(commit))) await this.fetch(spec, [commit]);
    await this.git.run(["read-tree", commit]);
    return true;
  }

  /** What the folder held when the session came here, as its first step. */
  async start(spec: WorkspaceSpec, epoch: number): Promise<Snapshot> {
    const { tree, left } = await this.tree();
    const commit = await this.commit(tree, [spec.commit], "What the folder held");
    const snapshot = await this.told(1, commit, commit, commit, spec.commit, left);
    await this.keep({ base: spec.commit, epoch, step: 1, commit, start: commit });
    return snapshot;
  }

  /** What changed since the last step; undefined when nothing did. */
  async take(): Promise<Snapshot | undefined> {
    const state = this.known();
    const { tree, left } = await this.tree();
    if (tree === (await this.git.line(["rev-parse", `${state.commit}^{tree}`]))) return undefined;
    const parents = state.start ? [state.base, state.start] : [state.base];
    const commit = await this.commit(tree, parents, `Step ${state.step + 1}`);
    return this.told(state.step + 1, commit, state.commit, state.start || state.base, state.base, left);
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
   * What has to be done to files so that they are as of the session's last snapshot, which was taken elsewhere: removals first.
   *
   * Each file that the session changed must be here as the session found it, or as it left it. Call `brought` when it is done.
   */
  async bring(spec: WorkspaceSpec, download: (blob: number, target: string) => Promise<void>): Promise<[string, Content | undefined][]> {
    const target = spec.snapshot_commit || spec.commit;
    if (!(await this.has(target))) {
      if (spec.bundle_blob === null) throw new ToolError(`The snapshot ${target} isn't here, and the server named none to fetch.`);
      const bundle = join(this.place, "restore.bundle");
      await download(spec.bundle_blob, bundle);
      await this.git.run(["bundle", "unbundle", bundle]);
      await rm(bundle);
    }
    const found = this.state?.commit || spec.start_commit || spec.commit;
    const { tree: now } = await this.tree();
    const [wanted, here] = [await this.differences(found, target), await this.differences(found, now)];
    const touched = new Set([...here.keys()].flatMap(withParents));
    const changes: [string, Content | undefined][] = [];
    const conflicts: string[] = [];
    for (const [name, { before, after }] of wanted) {
      const mine = here.has(name) ? here.get(name)?.after : before;
      if (same(mine, after)) continue;
      const foreign = touched.has(name) || withParents(name).some((one) => here.has(one)) || (!before && (await this.holds(name)));
      if (foreign) conflicts.push(name);
      else changes.push([name, after && { mode: after.mode, data: await this.git.run(["cat-file", "blob", after.blob]) }]);
    }
    if (conflicts.length) {
      throw new ToolError(
        `This folder doesn't hold what the session left elsewhere, and these files were changed here: ${conflicts.slice(0, 10).join(", ")}. ` +
          "Nothing was touched. Commit or stash them, or hand the session over to a runner.",
      );
    }
    return changes.sort(([, one], [, other]) => Number(Boolean(one)) - Number(Boolean(other)));
  }

  /** The folder is as the session left it elsewhere. */
  async brought(spec: WorkspaceSpec, epoch: number): Promise<void> {
    await this.keep({ base: spec.commit, epoch, step: spec.step, commit: spec.snapshot_commit || spec.commit, start: spec.start_commit });
  }

  /** All changes as one commit of the session's branch; the folder's own branch and index stay as they are. */
  async branchCommit(spec: () => WorkspaceSpec, message: string): Promise<{ commit: string; bundle: string; files: FileChange[]; left: string[] }> {
    const { branch, commit: base, author, author_email, committer, committer_email } = spec();
    const ref = `refs/heads/${branch}`;
    const parent = await this.parent(spec, ref);
    const { tree, left } = await this.changed(parent);
    if (tree === (await this.git.line(["rev-parse", `${parent}^{tree}`]))) throw new ToolError("There is nothing to commit: the session has changed no file since.");
    const commit = await this.commit(tree, [parent], message, { name: author, email: author_email }, { name: committer, email: committer_email });
    await this.git.run(["update-ref", ref, commit]);
    const bundle = join(this.place, "commit.bundle");
    await this.git.write(["bundle", "create", "--quiet", "-", ref, `^${base}`], bundle);
    return { commit, bundle, files: await this.changes(parent, commit), left };
  }

  /** The tip of the session's branch at the server, if all behind the base is the session's own; else the base. */
  private async parent(spec: () => WorkspaceSpec, ref: string): Promise<string> {
    await this.fetch(spec, ["+refs/heads/*:refs/remotes/server/*"]);
    const { branch, commit, branch_commit, author_email, committer_email } = spec();
    const tip = await this.git.line(["rev-parse", "--verify", "--quiet", ref.replace("refs/heads/", "refs/remotes/server/")]).catch(() => "");
    if (!tip) return commit;
    const pushed = await this.git.line(["log", "--format=%h %ae %ce", `${branch_commit || commit}..${tip}`]);
    const foreign = pushed.split("\n").filter((line) => line && !line.endsWith(` ${author_email} ${committer_email}`));
    if (foreign.length) {
      const named = foreign.slice(0, 3).map((line) => line.split(" ")[0]).join(", ");
      throw new ToolError(`The branch ${branch} has commits that this session didn't make (${named}). Nothing was committed. Start a new session from that branch.`);
    }
    return tip;
  }

  /** The tree of a commit with what the session changed in it, and nothing of what the person has there besides. */
  private async changed(parent: string): Promise<{ tree: string; left: string[] }> {
    const state = this.known();
    const { tree: now, left } = await this.tree();
    const env = { GIT_INDEX_FILE: join(this.place, "commit.index") };
    await this.git.run(["read-tree", parent], env);
    const changes = [...(await this.differences(state.start || state.base, now))];
    const lines = changes.map(([name, { after }]) => (after ? `${after.mode} ${after.blob}\t${name}\0` : `0 ${"0".repeat(40)}\t${name}\0`));
    // What goes makes room first: a file may stand where a folder was.
    await this.git.run(["update-index", "-z", "--index-info"], env, lines.sort((one, other) => Number(other.startsWith("0 ")) - Number(one.startsWith("0 "))).join(""));
    return { tree: await this.git.line(["write-tree"], env), left };
  }

  /** Names of files that match, as git lists them: what the folder ignores is left out. */
  async list(): Promise<string[]> {
    return split(await this.git.run(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]));
  }

  /** What differs now from what the folder held when the session began, each with what it is now. A file that moved is two. */
  async pending(): Promise<(FileChange & { blob: string })[]> {
    const start = (await this.remembered())?.start;
    if (!start) return [];
    const { tree } = await this.tree();
    const entries = await this.differences(start, tree);
    return (await this.changes(start, tree, "--no-renames")).map((file) => {
      const after = entries.get(file.path)?.after;
      return { ...file, blob: after ? `${after.mode} ${after.blob}` : "" };
    });
  }

  /** A file as the folder held it when the session began; undefined if there was none. */
  async original(name: string): Promise<Content | undefined> {
    const start = (await this.remembered())?.start;
    const [mode = "", kind = "", blob = ""] = start ? (await this.git.line(["ls-tree", "-z", start, "--", name])).split(/[ \t]/, 3) : [];
    return kind === "blob" ? { mode, data: await this.git.run(["cat-file", "blob", blob]) } : undefined;
  }

  /** The lease that the folder was taken up under last; 0 if it never was. */
  async lease(): Promise<number> {
    return (await this.remembered())?.epoch ?? 0;
  }

  async delete(): Promise<void> {
    await rm(this.place, { recursive: true, force: true });
    this.state = undefined;
  }

  private async remembered(): Promise<State | undefined> {
    this.state ??= await readFile(join(this.place, "state.json"), "utf8").then(
      (text) => JSON.parse(text) as State,
      () => undefined,
    );
    return this.state;
  }

  /** Fetches from the server, which may be away for a while, but not for ever. */
  private async fetch(spec: () => WorkspaceSpec, refs: string[]): Promise<void> {
    const until = performance.now() + this.fetchMs;
    const { kills } = this.processes;
    for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(2 * wait, LONGEST_PAUSE_MS)) {
      const { token, clone_path } = spec();
      const sign = Buffer.from(`session:${token}`).toString("base64");
      const env = environment({ GIT_CONFIG_COUNT: "1", GIT_CONFIG_KEY_0: "http.extraHeader", GIT_CONFIG_VALUE_0: `Authorization: Basic ${sign}` });
      const argv = ["git", ...this.git.words(["fetch", "--quiet", "--no-tags", `${this.url}/${clone_path.replace(/^\//, "")}`, ...refs])];
      let said = "";
      const ended = await this.processes.run("", argv, { cwd: this.place, env, timeoutMs: until - performance.now(), said: (text) => (said += text) });
      if (ended.code === 0) return;
      if (ended.killed || kills !== this.processes.kills) throw new ToolError("The fetch of the repository was ended.");
      if (ended.timedOut || (PASSES.test(said) && performance.now() + wait > until)) {
        const seconds = Math.round(this.fetchMs / 1000);
        throw new ToolError(`The repository could not be fetched from the server within ${seconds} seconds. ${said.trim()}`.trim().slice(0, 2_000));
      }
      if (!PASSES.test(said)) throw new ToolError(`The repository could not be fetched from the server: ${said.trim()}`.slice(0, 2_000));
      await pause(wait);
      if (kills !== this.processes.kills) throw new ToolError("The fetch of the repository was ended.");
    }
  }

  private async checkoutObjects(): Promise<string> {
    const asked = ["rev-parse", "--path-format=absolute", "--git-path", "objects"];
    return this.git.plain(asked).then((out) => out.toString().trim(), () => "");
  }

  /** What the person's own git leaves out beside `.gitignore`: their settings for this checkout and for all. */
  private async excludes(): Promise<string> {
    const ask = (words: string[], env: NodeJS.ProcessEnv): Promise<string> => this.git.plain(words, env).then((out) => out.toString().trim(), () => "");
    const own = await ask(["rev-parse", "--path-format=absolute", "--git-path", "info/exclude"], {});
    const all = (await ask(["config", "--type=path", "core.excludesFile"], { GIT_CONFIG_GLOBAL: undefined, GIT_CONFIG_NOSYSTEM: undefined })) || join(homedir(), ".config", "git", "ignore");
    const texts = await Promise.all([own, all].map((path) => (path ? readFile(path, "utf8").catch(() => "") : "")));
    return texts.join("\n");
  }

  private async has(commit: string): Promise<boolean> {
    return this.git.run(["cat-file", "-e", `${commit}^{commit}`]).then(() => true, () => false);
  }

  private async holds(name: string): Promise<boolean> {
    return lstat(join(this.folder, name)).then((found) => !found.isDirectory(), () => false);
  }

  /** The folder as a tree, without what is ignored, and what is left out of it. One at a time: they share git's index. */
  private async tree(): Promise<{ tree: string; left: string[] }> {
    const before = this.looking;
    const now = before.then(async () => {
      await this.git.run(["update-index", "-q", "--refresh"]);
      const names = split(await this.git.run(["ls-files", "-z", "--modified", "--others", "--exclude-standard", "--deduplicate"]), "latin1");
      // A name with a slash at its end is another repository, which is not looked into.
      const { taken, gone, folders, left } = await sorted(this.folder, names.filter((name) => !name.endsWith("/")));
      if (folders.length) {
        const staged = split(await this.git.run(["ls-files", "-z", "--stage"]), "latin1");
        const repositories = new Set(staged.filter((line) => line.startsWith("160000 ")).map((line) => line.split("\t")[1]));
        gone.push(...folders.filter((name) => !repositories.has(name)));
      }
      for (const [option, some] of [["--force-remove", gone], ["--add", taken]] as const) {
        if (some.length) await this.git.run(["update-index", "-z", "--replace", option, "--stdin"], {}, Buffer.from(some.map((name) => `${name}\0`).join(""), "latin1"));
      }
      return { tree: await this.git.line(["write-tree"]), left: left.map((name) => Buffer.from(name, "latin1").toString("utf8")) };
    });
    this.looking = now.catch(() => undefined);
    return now;
  }

  private async commit(tree: string, parents: string[], message: string, author = NOBODY, committer = NOBODY): Promise<string> {
    const who = {
      GIT_AUTHOR_NAME: author.name, GIT_AUTHOR_EMAIL: author.email,
      GIT_COMMITTER_NAME: committer.name, GIT_COMMITTER_EMAIL: committer.email,
    };
    return this.git.line(["commit-tree", tree, ...parents.flatMap((one) => ["-p", one]), "-m", message], who);
  }

  private async told(step: number, commit: string, known: string, start: string, base: string, left: string[]): Promise<Snapshot> {
    const ref = `refs/steps/${step}`;
    await this.git.run(["update-ref", ref, commit]);
    const [bundle, stepDiff, wholeDiff] = ["bundle", "step.diff", "whole.diff"].map((part) => join(this.place, `${step}.${part}`)) as [string, string, string];
    await this.git.write(["bundle", "create", "--quiet", "-", ref, `^${base}`], bundle);
    await this.git.write([...DIFF, "--patch", known, commit], stepDiff);
    await this.git.write([...DIFF, "--patch", start, commit], wholeDiff);
    return { step, commit, files: await this.changes(known, commit), left, bundle, stepDiff, wholeDiff };
  }

  /** Every name that differs between two trees, with what each has there. */
  private async differences(one: string, other: string): Promise<Map<string, { before: Entry | undefined; after: Entry | undefined }>> {
    const tokens = split(await this.git.run(["diff", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff", "-z", one, other]));
    const found = new Map<string, { before: Entry | undefined; after: Entry | undefined }>();
    for (let at = 0; at + 1 < tokens.length; at += 2) {
      const [was = "", is = "", from = "", to = ""] = (tokens[at] ?? "").slice(1).split(" ");
      found.set(tokens[at + 1] ?? "", { before: entry(was, from), after: entry(is, to) });
    }
    return found;
  }

  private async changes(before: string, after: string, ...options: string[]): Promise<FileChange[]> {
    const kinds = new Map<string, FileChange["change"]>();
    const letters: Record<string, FileChange["change"]> = { A: "added", D: "deleted", R: "renamed", C: "added" };
    const status = split(await this.git.run([...DIFF, ...options, "--name-status", "-z", before, after]));
    for (let at = 0; at < status.length; at += 2) {
      const letter = (status[at] ?? "").charAt(0);
      if (letter === "R" || letter === "C") at++;
      kinds.set(status[at + 1] ?? "", letters[letter] ?? "modified");
    }
    const numbers = split(await this.git.run([...DIFF, ...options, "--numstat", "-z", before, after]));
    const found: FileChange[] = [];
    for (let at = 0; at < numbers.length && found.length < FILES_LISTED; at++) {
      const [added = "", removed = "", name = ""] = (numbers[at] ?? "").split("\t");
      const path = name || (numbers[(at += 2)] ?? "");
      found.push({ path, change: kinds.get(path) ?? "modified", added: Number(added) || 0, removed: Number(removed) || 0 });
    }
    return found;
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

/** The checkout that a folder is a part of without being it; empty when it is one itself, or in none. */
export async function outer(folder: string): Promise<string> {
  const git = new Git("", folder);
  const top = await git.plain(["rev-parse", "--show-toplevel"]).then((out) => out.toString("utf8").trim(), () => "");
  if (!top || (await realpath(top)) === (await realpath(folder))) return "";
  // A folder that the other only ignores, or has never heard of, is none of its parts.
  const files = await git.plain(["ls-files", "-z", "--", "."]);
  return files.length ? top : "";
}

/** A repository within the folder is none of its files. */
function entry(mode: string, blob: string): Entry | undefined {
  return mode === "000000" || mode === "160000" ? undefined : { mode, blob };
}

function same(one: Entry | undefined, other: Entry | undefined): boolean {
  return one?.mode === other?.mode && one?.blob === other?.blob;
}

/** A name and all folders above it. */
function withParents(name: string): string[] {
  const parts = name.split("/");
  return parts.map((_, at) => parts.slice(0, at + 1).join("/"));
}
