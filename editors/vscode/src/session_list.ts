import * as vscode from "vscode";
import type { Api, SessionRow } from "./api";

/** The person's own sessions, live: chats and flows, those that need them first. */
export class SessionList implements vscode.Disposable {
  rows: SessionRow[] = [];
  /** Why nothing comes just now. */
  away = "";
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onChanged = this.changed.event;
  private following = new AbortController();

  /** Follows the list of another account, or of none. */
  follow(api: Api | undefined): void {
    this.following.abort();
    this.following = new AbortController();
    this.rows = [];
    this.away = "";
    this.changed.fire();
    if (api) void this.read(api, this.following.signal);
  }

  get needing(): SessionRow[] {
    return this.rows.filter((row) => row.needs_me);
  }

  /** Takes a row out at once, before the server tells of it. */
  drop(id: number): void {
    this.rows = this.rows.filter((row) => row.id !== id);
    this.changed.fire();
  }

  dispose(): void {
    this.following.abort();
    this.changed.dispose();
  }

  private async read(api: Api, signal: AbortSignal): Promise<void> {
    try {
      await api.follow("/sessions/changes?mine=true&limit=100", (message) => this.take(message.event, message.data), (why) => this.say(why), signal);
    } catch (error) {
      this.say(error instanceof Error ? error.message : String(error));
    }
  }

  private say(why: string): void {
    this.away = why;
    this.changed.fire();
  }

  private take(event: string, data: string): boolean {
    this.away = "";
    if (event === "page") this.rows = (JSON.parse(data) as { items: SessionRow[] }).items;
    else if (event === "changed") {
      const row = JSON.parse(data) as SessionRow;
      this.rows = [row, ...this.rows.filter((one) => one.id !== row.id)];
    } else if (event === "gone") {
      const { id } = JSON.parse(data) as { id: number };
      this.rows = this.rows.filter((one) => one.id !== id);
    }
    this.rows.sort(byNeed);
    this.changed.fire();
    return true;
  }
}

/** What needs the person first, then what goes on, then what has ended; of each the last active first. */
function byNeed(one: SessionRow, other: SessionRow): number {
  return rank(one) - rank(other) || other.last_activity.localeCompare(one.last_activity);
}

function rank(row: SessionRow): number {
  if (row.needs_me) return 0;
  return row.ended_at === null ? 1 : 2;
}
