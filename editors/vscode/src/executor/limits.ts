/** What a project allows its sessions, as `core/session_limits.py` of the server has it, and what they have used. */
import { ToolError } from "./protocol";

export type LimitName = "memory" | "processes" | "workspace" | "files" | "output" | "call" | "session";
export type ProjectLimits = { [Name in LimitName]?: number | null };

export interface Used {
  ms: number;
  output: number;
}

export interface Reached {
  name: LimitName;
  bound: string;
  of: "project";
}

const SIZES: [number, string][] = [[1024 ** 4, "T"], [1024 ** 3, "G"], [1024 ** 2, "M"], [1024, "K"], [1, ""]];
const TIMES: [number, string][] = [[86_400, "d"], [3_600, "h"], [60, "m"], [1, "s"]];
const PAUSES = "The session pauses until a person has raised it.";
/** What an editor keeps a session to, and what is said when it is reached; the others need walls. */
const KEPT: { [Name in LimitName]?: { units: [number, string][]; what: string; advice: string } } = {
  processes: { units: [[1, ""]], what: "processes at a time", advice: "Start fewer at a time, and look for something that starts itself again." },
  output: { units: SIZES, what: "of output of all its commands together", advice: PAUSES },
  call: { units: TIMES, what: "for one call", advice: "Do it in smaller steps." },
  session: { units: TIMES, what: "for all its commands together", advice: PAUSES },
};
const UNCOUNTED = new Set<LimitName>(process.platform === "win32" ? ["processes"] : []);

/** A session has used what it may. */
export class LimitError extends ToolError {
  readonly reached: Reached;

  constructor(name: LimitName, limits: ProjectLimits) {
    const { units, what, advice } = KEPT[name] ?? { units: SIZES, what: "", advice: "" };
    const number = limits[name] ?? 0;
    const [size, unit] = units.find(([one]) => number % one === 0) ?? [1, ""];
    const bound = `${number / size}${unit}`;
    super(`This session's limit was reached: ${bound} ${what}. ${advice} An owner can raise \`${name}\` in the project's limits.`);
    this.reached = { name, bound, of: "project" };
  }
}

/** The limits that a project has set and that nobody keeps a session to here. */
export function unkept(limits: ProjectLimits | null): string[] {
  return (Object.keys(limits ?? {}) as LimitName[]).filter((name) => limits?.[name] != null && (!KEPT[name] || UNCOUNTED.has(name)));
}

/** A command that runs, as it is counted. */
interface Counted {
  began: number;
  output: () => number;
}

/** What a session's commands have used in this window, and what they are using now. */
export class Usage {
  limits: ProjectLimits = {};
  private ms = 0;
  private output = 0;
  private readonly running = new Set<Counted>();

  /** `told` is what the server was told of, or will be: by the results of before. */
  constructor(private told: Used) {
    this.ms = told.ms;
    this.output = told.output;
  }

  /** A call came, with what the project allows and what the server has counted: more than we told it where others worked, too. */
  admit(limits: ProjectLimits | null | undefined, used: Used = { ms: 0, output: 0 }): void {
    this.limits = limits ?? {};
    const more = { ms: Math.max(0, used.ms - this.told.ms), output: Math.max(0, used.output - this.told.output) };
    this.told = { ms: this.told.ms + more.ms, output: this.told.output + more.output };
    this.ms += more.ms;
    this.output += more.output;
  }

  /** Counts a command until `end` is called; `output` is what was kept of it so far. */
  begin(output: () => number): () => void {
    const counted = { began: performance.now(), output };
    this.running.add(counted);
    return () => {
      this.running.delete(counted);
      this.ms += performance.now() - counted.began;
      this.output += counted.output();
    };
  }

  /** What commands that have ended took, as far as it was not told; it is from now on. */
  tell(): Used {
    const whole = { ms: Math.max(this.told.ms, Math.round(this.ms)), output: this.output };
    const fresh = { ms: whole.ms - this.told.ms, output: whole.output - this.told.output };
    this.told = whole;
    return fresh;
  }

  /** The limit that all commands together have used up. */
  reached(): LimitName | undefined {
    const { output, session } = this.limits;
    const printed = [...this.running].reduce((sum, one) => sum + one.output(), this.output);
    if (output != null && printed >= output) return "output";
    return session != null && this.left() <= 0 ? "session" : undefined;
  }

  /** The limit that leaves a command less time than its own, and how much. */
  shorter(timeoutMs: number): { ms: number; name?: LimitName } {
    const { call } = this.limits;
    const bounds: { ms: number; name?: LimitName }[] = [{ ms: timeoutMs }, { ms: call != null ? call * 1_000 : Infinity, name: "call" }, { ms: this.left(), name: "session" }];
    return bounds.reduce((least, one) => (one.ms < least.ms ? one : least));
  }

  private left(): number {
    const { session } = this.limits;
    if (session == null) return Infinity;
    return [...this.running].reduce((left, one) => left - (performance.now() - one.began), session * 1_000 - this.ms);
  }
}
