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
  rows: SessionRow[];
  session: Session | null;
  /** What a person asked for was refused, for this reason. */
  fault: string;
}

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
  | { type: "open"; id: number }
  | { type: "close" }
  | { type: "startFlow"; flow: string; goal: string; project: string }
  | { type: "startChat"; text: string; project: string }
  | { type: "say"; text: string }
  | { type: "approve"; approval: string; forSession: boolean }
  | { type: "deny"; approval: string; reason: string }
  | { type: "act"; verb: "pause" | "resume" | "interrupt" }
  | { type: "cancel" }
  | { type: "delete" }
  | { type: "fork" }
  | { type: "browser" };
