/** What the extension and its view say to each other. */
import type { Entry, Session, SessionRow } from "./api";

export type Tab = "chat" | "flows";
export type Detail = "concise" | "full";

/** To the view: all that stands around a log. */
export interface State {
  server: string;
  username: string;
  signedIn: boolean;
  /** Why nothing comes just now; empty while all is well. */
  away: string;
  folder: string;
  projects: string[];
  project: string;
  models: string[];
  /** What fits the filter that was asked for, as far as it was asked for. */
  rows: SessionRow[];
  /** Whether there are older ones. */
  more: boolean;
  /** All that need the person, whatever the list is narrowed to. */
  needing: SessionRow[];
  session: Session | null;
  /** This window's number among the person's editors; null while it is none. */
  here: number | null;
  /** Why this window carries nothing out; empty while it does. */
  work: string;
  /** Another window has this folder, and can be asked for it. */
  elsewhere: boolean;
  /** Files that the session changed in this folder, and that the person has not looked at yet. */
  changes: Change[];
  /** What a person asked for was refused, for this reason. */
  fault: string;
}

export interface Change {
  path: string;
  change: string;
  added: number;
  removed: number;
}

/** Which sessions are listed: all, those of the project, or those that work in this folder. */
export type Shown = "all" | "project" | "folder";

export type ToView =
  | { type: "state"; state: State }
  | { type: "begin"; id: number }
  | { type: "end" }
  | { type: "entries"; id: number; entries: Entry[] }
  | { type: "partial"; id: number; text: string }
  | { type: "show"; tab: Tab };

export type FromView =
  | { type: "ready" }
  | { type: "signIn" }
  | { type: "signInWithToken" }
  | { type: "narrow"; text: string; shown: Shown }
  | { type: "older" }
  | { type: "open"; id: number }
  | { type: "close" }
  | { type: "startFlow"; flow: string; goal: string; project: string; model: string }
  | { type: "startChat"; text: string; project: string; model: string }
  | { type: "say"; text: string }
  | { type: "approve"; approval: string; forSession: boolean }
  | { type: "deny"; approval: string; reason: string }
  | { type: "act"; verb: "pause" | "resume" | "interrupt" }
  | { type: "cancel" }
  | { type: "delete" }
  | { type: "fork" }
  | { type: "workHere" }
  | { type: "handOver"; here: boolean }
  | { type: "diff"; path: string }
  | { type: "keep"; path: string | null }
  | { type: "undo"; path: string | null }
  | { type: "browser" };
