import type { Api, Entry, Session } from "./api";

/** Whoever shows a session. */
export interface Shows {
  entries(entries: Entry[]): void;
  partial(text: string): void;
  session(session: Session): void;
  away(why: string): void;
  gone(why: string): void;
}

const STANDING = /^(status|approval|question|session|plan|executor|workspace)\./;
const ENDS_ANSWER = /^(model\.|status\.changed|turn\.)/;

/** One session that is followed: its entries as they come, and where it stands. */
export class OpenSession {
  session: Session | null = null;
  private readonly following = new AbortController();
  private waiting: Entry[] = [];
  private asking: Promise<void> | undefined;
  private again = false;

  constructor(
    private readonly api: Api,
    readonly id: number,
    private readonly shows: Shows,
  ) {}

  follow(): void {
    void this.look();
    void this.read();
  }

  close(): void {
    this.following.abort();
  }

  async say(text: string): Promise<void> {
    await this.post("messages", { text });
  }

  async approve(approval: string, forSession: boolean): Promise<void> {
    await this.post("approve", { approval_id: approval, for_session: forSession });
  }

  async deny(approval: string, reason: string): Promise<void> {
    await this.post("deny", { approval_id: approval, reason });
  }

  async act(verb: "pause" | "resume" | "interrupt"): Promise<void> {
    await this.post(verb);
  }

  async cancel(): Promise<void> {
    await this.post("cancel", { reason: "" });
  }

  async handOver(executor: number | null): Promise<void> {
    await this.post("executor", { executor });
  }

  private async post(verb: string, body?: unknown): Promise<void> {
    this.take(await this.api.post<Session>(`/sessions/${this.id}/${verb}`, body));
  }

  private take(session: Session): void {
    this.session = session;
    this.shows.session(session);
  }

  /** Asks where it stands; of what is asked meanwhile one more look is enough. */
  private async look(): Promise<void> {
    if (this.asking) {
      this.again = true;
      return this.asking;
    }
    this.asking = this.api
      .get<Session>(`/sessions/${this.id}`)
      .then((session) => this.take(session))
      .catch((error: unknown) => this.shows.away(error instanceof Error ? error.message : String(error)))
      .finally(() => {
        this.asking = undefined;
        if (this.again && !this.following.signal.aborted) {
          this.again = false;
          void this.look();
        }
      });
    return this.asking;
  }

  private async read(): Promise<void> {
    try {
      await this.api.follow(
        `/sessions/${this.id}/stream?form=entries`,
        (message) => this.told(message.event, message.data),
        (why) => this.shows.away(why),
        this.following.signal,
      );
    } catch (error) {
      this.shows.gone(error instanceof Error ? error.message : String(error));
    }
  }

  private told(event: string, data: string): boolean {
    this.shows.away("");
    if (event === "partial") this.shows.partial((JSON.parse(data) as { text: string }).text);
    else if (event === "entry") this.entry(JSON.parse(data) as Entry);
    return event !== "end";
  }

  private entry(entry: Entry): void {
    this.waiting.push(entry);
    if (this.waiting.length === 1) queueMicrotask(() => this.shows.entries(this.waiting.splice(0)));
    if (ENDS_ANSWER.test(entry.kind)) this.shows.partial("");
    if (STANDING.test(entry.kind)) void this.look();
  }
}
