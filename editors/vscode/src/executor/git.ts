import { execFile, spawn } from "node:child_process";
import { createWriteStream, existsSync } from "node:fs";
import { promisify } from "node:util";

const run = promisify(execFile);
const MOST = 512 * 1024 * 1024;
const SETTINGS = {
  "core.attributesFile": "/dev/null",
  "core.autocrlf": "false",
  "core.fsmonitor": "false",
  "core.hooksPath": "/dev/null",
  "gc.auto": "0",
  "maintenance.auto": "false",
  "http.followRedirects": "false",
  "http.lowSpeedLimit": "1",
  "http.lowSpeedTime": "60",
  "protocol.allow": "never",
  "protocol.http.allow": "always",
  "protocol.https.allow": "always",
  "safe.directory": "*",
};

/** One git directory and the folder it looks at, with settings of ours alone: none of the person's act, and no hook. */
export class Git {
  constructor(
    readonly gitDir: string,
    readonly folder: string,
  ) {}

  /** What a git command prints; fails with what git said. */
  async run(args: string[], env: NodeJS.ProcessEnv = {}, input: Buffer | string = ""): Promise<Buffer> {
    return this.plain([`--git-dir=${this.gitDir}`, `--work-tree=${this.folder}`, ...args], env, input);
  }

  /** The same without our git directory: about another, or about none. */
  async plain(args: string[], env: NodeJS.ProcessEnv = {}, input: Buffer | string = ""): Promise<Buffer> {
    const cwd = existsSync(this.folder) ? this.folder : undefined;
    const running = run("git", [...SETTINGS_GIVEN, ...args], { cwd, env: environment(env), encoding: "buffer", maxBuffer: MOST });
    running.child.stdin?.on("error", () => undefined); // git says itself why it reads no more
    running.child.stdin?.end(input);
    try {
      return (await running).stdout;
    } catch (error) {
      const said = (error as { stderr?: Buffer }).stderr?.toString("utf8").trim();
      const name = args.find((word) => !word.startsWith("-")) ?? "";
      throw new Error(`git ${name}: ${said || (error as Error).message}`.slice(0, 2_000));
    }
  }

  /** What it prints as one line. */
  async line(args: string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
    return (await this.run(args, env)).toString("utf8").trim();
  }

  /** The same with what it prints in a file, for diffs and bundles of any size. */
  async write(args: string[], target: string): Promise<void> {
    const git = spawn("git", this.words(args), { env: environment({}), stdio: ["ignore", "pipe", "ignore"] });
    const file = createWriteStream(target, { mode: 0o600 });
    git.stdout.pipe(file);
    await new Promise<void>((done, failed) => {
      git.on("error", failed);
      file.on("error", failed);
      file.on("close", done);
    });
    if ((git.exitCode ?? (await new Promise<number | null>((done) => git.on("exit", done)))) !== 0) throw new Error(`git ${args[0] ?? ""} failed`);
  }

  /** The words of a command on this git directory, for whoever starts it. */
  words(args: string[]): string[] {
    return [...SETTINGS_GIVEN, `--git-dir=${this.gitDir}`, ...args];
  }
}

const SETTINGS_GIVEN = Object.entries(SETTINGS).flatMap(([name, value]) => ["-c", `${name}=${value}`]);

/** Of git: nothing of the person's that would steer it. */
export function environment(more: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_")));
  const ours = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1", GIT_LITERAL_PATHSPECS: "1", GIT_TERMINAL_PROMPT: "0", LC_ALL: "C" };
  return { ...kept, ...ours, ...more };
}

/** Names that git lists with a NUL after each. */
export function split(listed: Buffer, encoding: "utf8" | "latin1" = "utf8"): string[] {
  return listed.toString(encoding).split("\0").slice(0, -1);
}
