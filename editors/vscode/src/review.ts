import { join } from "node:path";
import * as vscode from "vscode";
import type { Change } from "./messages";
import type { Work } from "./work";

const KEPT = "kept";
const KEPT_MOST = 1_000;
const SCHEME = "quarterdeck-start";

/** What the session that is open changed in this folder, as long as the person has not kept or undone it. */
export class Review implements vscode.Disposable, vscode.TextDocumentContentProvider {
  changes: Change[] = [];
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onChanged = this.changed.event;
  private session = 0;
  private found: (Change & { blob: string })[] = [];
  /** What a file was when it was kept, by session and path: changed once more, it is to be looked at again. */
  private readonly kept: Map<string, string>;
  private readonly registered: vscode.Disposable;

  constructor(
    private readonly work: Work,
    private readonly remembered: vscode.Memento,
  ) {
    this.kept = new Map(Object.entries(remembered.get<Record<string, string>>(KEPT, {})));
    this.registered = vscode.workspace.registerTextDocumentContentProvider(SCHEME, this);
  }

  /** Looks at what a session has changed by now. */
  async look(session: number): Promise<void> {
    if (session !== this.session) this.found = [];
    this.session = session;
    const found = (await this.work.executor?.review(session).changes().catch(() => [])) ?? [];
    if (session !== this.session) return;
    this.found = found;
    this.tell();
  }

  async show(path: string): Promise<void> {
    const left = vscode.Uri.from({ scheme: SCHEME, path: `/${path}`, query: String(this.session) });
    const right = vscode.Uri.file(join(vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? "", path));
    await vscode.commands.executeCommand("vscode.diff", left, right, `${path} (session #${this.session})`);
  }

  async keep(path: string | null): Promise<void> {
    for (const one of this.chosen(path)) this.kept.set(this.key(one.path), one.blob);
    await this.remembered.update(KEPT, Object.fromEntries([...this.kept].slice(-KEPT_MOST)));
    this.tell();
  }

  async undo(path: string | null): Promise<void> {
    await this.work.executor?.review(this.session).undo(this.chosen(path).map((one) => one.path));
    await this.look(this.session);
  }

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const before = await this.work.executor?.review(Number(uri.query)).original(uri.path.slice(1));
    return before?.data.toString("utf8") ?? "";
  }

  dispose(): void {
    this.registered.dispose();
    this.changed.dispose();
  }

  /** One file, or (null) all that are still to be looked at: what was kept stays as it is. */
  private chosen(path: string | null): (Change & { blob: string })[] {
    return this.found.filter((one) => (path === null ? this.open(one) : one.path === path));
  }

  private open(one: Change & { blob: string }): boolean {
    return this.kept.get(this.key(one.path)) !== one.blob;
  }

  private key(path: string): string {
    return `${this.session} ${path}`;
  }

  private tell(): void {
    this.changes = this.found.filter((one) => this.open(one)).map(({ path, change, added, removed }) => ({ path, change, added, removed }));
    this.changed.fire();
  }
}
