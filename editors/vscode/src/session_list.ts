import * as vscode from "vscode";
import type { Api, SessionPage, SessionRow } from "./api";

const PAGE = 100;

/** A list of the person's own sessions, live: those that need them first. Behind the newest there are older ones, on demand. */
export class SessionList implements vscode.Disposable {
  rows: SessionRow[] = [];
  /** Why nothing comes just now. */
  away = "";
  /** Whether the server has told what is in it. */
  heard = false;
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onChanged = this.changed.event;
  private following = new AbortController();
  private api: Api | undefined;
  private narrowed: Record<string, string> = {};
  private pages = 1;
  private next: string | null = null;

  /** @param query What it is a list of, as the API's filters say it. */
  constructor(private readonly query: Record<string, string>) {}

  /** Follows the list of another account, or of none. */
  follow(api: Api | undefined): void {
    this.api = api;
    this.rows = [];
    this.begin();
  }

  /** Only what fits these filters, too; what is shown stays until the server has found it. */
  narrow(filters: Record<string, string>): void {
    if (JSON.stringify(filters) === JSON.stringify(this.narrowed)) return;
    this.narrowed = filters;
    this.begin();
  }

  /** Whether there are older ones than those that are here. */
  get more(): boolean {
    return this.next !== null;
  }

  /** Has the next older ones, too. */
  async older(): Promise<void> {
    this.pages++;
    await this.fill(this.following.signal);
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

  private begin(): void {
    this.following.abort();
    this.following = new AbortController();
    this.away = "";
    this.heard = false;
    this.pages = 1;
    this.next = null;
    this.changed.fire();
    if (this.api) void this.read(this.api, this.following.signal);
  }

  private async read(api: Api, signal: AbortSignal): Promise<void> {
    try {
      await api.follow(`/sessions/changes?${this.asked()}`, (message) => this.take(message.event, message.data, signal), (why) => this.say(why), signal);
    } catch (error) {
      this.say(error instanceof Error ? error.message : String(error));
    }
  }

  private asked(cursor = ""): string {
    return new URLSearchParams({ ...this.query, ...this.narrowed, limit: String(PAGE), ...(cursor ? { cursor } : {}) }).toString();
  }

  private say(why: string): void {
    this.away = why;
    this.changed.fire();
  }

  private take(event: string, data: string, signal: AbortSignal): boolean {
    if (signal.aborted) return false;
    this.away = "";
    if (event === "page") {
      const page = JSON.parse(data) as SessionPage;
      this.rows = page.items;
      this.next = page.next;
      this.heard = true;
      if (this.pages > 1) void this.fill(signal, 1).catch((error: unknown) => this.say(String(error)));
    } else if (event === "changed") this.add([JSON.parse(data) as SessionRow]);
    else if (event === "gone") {
      const { id } = JSON.parse(data) as { id: number };
      this.rows = this.rows.filter((one) => one.id !== id);
    }
    this.show();
    return true;
  }

  /** Reads on until there are as many pages as the person asked for; `have` of them are there. */
  private async fill(signal: AbortSignal, have = this.pages - 1): Promise<void> {
    for (let page = have; page < this.pages && this.next && this.api; page++) {
      const found = await this.api.get<SessionPage>(`/sessions?${this.asked(this.next)}`);
      if (signal.aborted) return;
      const known = new Set(this.rows.map((row) => row.id)); // what is here came by the stream, and is newer
      this.add(found.items.filter((row) => !known.has(row.id)));
      this.next = found.next;
      this.show();
    }
  }

  private add(rows: SessionRow[]): void {
    const fresh = new Set(rows.map((row) => row.id));
    this.rows = [...rows, ...this.rows.filter((one) => !fresh.has(one.id))];
  }

  private show(): void {
    this.rows.sort(byNeed);
    this.changed.fire();
  }
}

/** What needs the person first, then what goes on, then what has ended; of each the last active first. */
export function byNeed(one: SessionRow, other: SessionRow): number {
  return rank(one) - rank(other) || other.last_activity.localeCompare(one.last_activity);
}

function rank(row: SessionRow): number {
  if (row.needs_me) return 0;
  return row.ended_at === null ? 1 : 2;
}
