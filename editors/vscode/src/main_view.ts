import { randomBytes } from "node:crypto";
import * as vscode from "vscode";
import type { Account } from "./account";
import type { Session } from "./api";
import type { Folder } from "./folder";
import type { FromView, Shown, State, Tab, ToView } from "./messages";
import { OpenSession } from "./open_session";
import type { Review } from "./review";
import type { SessionList } from "./session_list";
import type { Work } from "./work";

const CANCEL = "Cancel session";
const DELETE = "Delete session";

/** The view in the side bar: its tabs, its list, and the session that is open in it. */
export class MainView implements vscode.WebviewViewProvider, vscode.Disposable {
  private view: vscode.WebviewView | undefined;
  private open: OpenSession | undefined;
  private away = "";
  private fault = "";
  private silent = false;
  private wanted: Tab | undefined;
  private readonly listening: vscode.Disposable[];

  constructor(
    private readonly root: vscode.Uri,
    private readonly account: Account,
    private readonly list: SessionList,
    private readonly needing: SessionList,
    private readonly folder: Folder,
    private readonly remembered: vscode.Memento,
    private readonly work: Work,
    private readonly review: Review,
  ) {
    this.listening = [
      account.onChanged(() => this.begin()),
      list.onChanged(() => this.listed()),
      needing.onChanged(() => this.tell()),
      work.onChanged(() => this.tell()),
      review.onChanged(() => this.tell()),
    ];
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    view.webview.options = { enableScripts: true, localResourceRoots: [this.root] };
    view.webview.onDidReceiveMessage((message: FromView) => void this.heard(message));
    view.onDidDispose(() => (this.view = undefined));
    view.webview.html = this.page(view.webview);
  }

  /** Whether a person sees it now. */
  get visible(): boolean {
    return this.view?.visible ?? false;
  }

  async show(tab: Tab, id?: number): Promise<void> {
    this.wanted = tab;
    if (id !== undefined) this.begun(id);
    await vscode.commands.executeCommand("quarterdeck.main.focus");
    this.post({ type: "show", tab });
  }

  dispose(): void {
    this.open?.close();
    for (const one of this.listening) one.dispose();
  }

  /** The list has news; with the first after a silence the server is back, and tells of projects and models again. */
  private listed(): void {
    if (this.silent && !this.list.away) void this.folder.look(this.account.api).then(() => this.tell(), (error: unknown) => this.wrong(error));
    this.silent = this.list.away !== "";
    this.tell();
  }

  /** Another account, or none: what is shown begins anew. */
  private async begin(): Promise<void> {
    this.open?.close();
    this.open = undefined;
    this.fault = "";
    this.list.follow(this.account.api);
    this.needing.follow(this.account.api);
    await this.folder.look(this.account.api).catch((error: unknown) => this.wrong(error));
    const kept = this.remembered.get<number>("open");
    if (kept !== undefined && this.account.api) this.begun(kept);
    this.tell();
  }

  private async heard(message: FromView): Promise<void> {
    this.fault = "";
    try {
      await this.done(message);
    } catch (error) {
      this.wrong(error);
    }
    this.tell();
  }

  private async done(message: FromView): Promise<void> {
    switch (message.type) {
      case "ready":
        this.list.narrow({});
        this.tell();
        if (this.open) this.begun(this.open.id);
        if (this.wanted) this.post({ type: "show", tab: this.wanted });
        return;
      case "signIn":
        return this.account.signIn();
      case "signInWithToken":
        return this.account.signInWithToken();
      case "narrow":
        return this.list.narrow({ ...(message.text.trim() ? { text: message.text.trim() } : {}), ...this.where(message.shown) });
      case "older":
        return this.list.older();
      case "open":
        return this.begun(message.id);
      case "close":
        return this.closed();
      case "startFlow":
        return this.start("/sessions", { flow: message.flow, goal: message.goal, model: message.model }, message.project);
      case "startChat":
        return this.start("/chats", { message: message.text, model: message.model }, message.project);
      case "say":
        return this.open?.say(message.text);
      case "approve":
        return this.open?.approve(message.approval, message.forSession);
      case "deny":
        return this.open?.deny(message.approval, message.reason);
      case "act":
        return this.open?.act(message.verb);
      case "cancel":
        return this.cancel();
      case "delete":
        return this.delete();
      case "fork":
        return this.fork();
      case "workHere":
        return this.work.takeOver();
      case "handOver":
        return this.handOver(message.here);
      case "diff":
        return this.review.show(message.path);
      case "keep":
        return this.review.keep(message.path);
      case "undo":
        return this.review.undo(message.path);
      case "browser":
        if (this.open?.session) await vscode.env.openExternal(vscode.Uri.parse(this.open.session.url, true));
    }
  }

  private where(shown: Shown): Record<string, string> {
    if (shown === "project" && this.folder.project) return { project: this.folder.project };
    return shown === "folder" && this.work.number ? { executor: String(this.work.number) } : {};
  }

  private async start(path: string, what: Record<string, unknown>, project: string): Promise<void> {
    const api = this.account.api;
    if (!api) return;
    if (project) await this.folder.remember(project);
    const executor = project ? this.work.number : undefined;
    const where = { ...(project ? { project } : {}), ...(executor ? { executor } : {}) };
    const session = await api.make<Session>(path, { ...what, ...where });
    this.begun(session.id);
  }

  private async cancel(): Promise<void> {
    const open = this.open;
    if (!open) return;
    const detail = "It stops at once, and whatever runs is killed. It can't be resumed or restarted.";
    const answer = await vscode.window.showWarningMessage(`Cancel session #${open.id}?`, { modal: true, detail }, CANCEL);
    if (answer === CANCEL) await open.cancel();
  }

  private async delete(): Promise<void> {
    const open = this.open;
    if (!open || !this.account.api) return;
    const detail = "Its log, output and snapshots are deleted for good, here and in the browser. Files of your folder stay.";
    const answer = await vscode.window.showWarningMessage(`Delete session #${open.id}?`, { modal: true, detail }, DELETE);
    if (answer !== DELETE) return;
    await this.account.api.delete(`/sessions/${open.id}`);
    this.list.drop(open.id);
    this.needing.drop(open.id);
    this.closed();
  }

  private async fork(): Promise<void> {
    if (!this.open || !this.account.api) return;
    const made = await this.account.api.make<Session>(`/sessions/${this.open.id}/fork`, {});
    this.begun(made.id);
  }

  private async handOver(here: boolean): Promise<void> {
    if (this.open) await this.open.handOver(here ? (this.work.number ?? null) : null);
  }

  private begun(id: number): void {
    const api = this.account.api;
    if (!api) return;
    this.open?.close();
    void this.remembered.update("open", id);
    this.post({ type: "begin", id });
    const open = new OpenSession(api, id, {
      entries: (entries) => {
        this.post({ type: "entries", id, entries });
        if (entries.some((entry) => entry.kind === "snapshot.taken")) void this.review.look(id);
      },
      partial: (text) => this.post({ type: "partial", id, text }),
      session: () => this.tell(),
      away: (why) => {
        if (this.open === open && why !== this.away) {
          this.away = why;
          this.tell();
        }
      },
      gone: (why) => {
        if (this.open !== open) return;
        this.closed();
        this.fault = why;
        this.tell();
      },
    });
    this.open = open;
    open.follow();
    void this.review.look(id);
  }

  private closed(): void {
    this.open?.close();
    this.open = undefined;
    this.away = "";
    void this.remembered.update("open", undefined);
    this.post({ type: "end" });
    this.tell();
  }

  private wrong(error: unknown): void {
    this.fault = error instanceof Error ? error.message : String(error);
  }

  private tell(): void {
    const state: State = {
      server: this.account.server,
      username: this.account.username,
      signedIn: this.account.api !== undefined,
      away: this.away || this.list.away,
      folder: this.folder.path,
      projects: this.folder.projects,
      project: this.folder.project,
      models: this.folder.models,
      rows: this.list.rows,
      more: this.list.more,
      needing: this.needing.rows,
      session: this.open?.session ?? null,
      here: this.work.number ?? null,
      work: this.work.away,
      elsewhere: this.work.elsewhere,
      changes: this.review.changes,
      fault: this.fault,
    };
    this.post({ type: "state", state });
  }

  private post(message: ToView): void {
    void this.view?.webview.postMessage(message);
  }

  private page(webview: vscode.Webview): string {
    const nonce = randomBytes(16).toString("base64");
    const at = (...parts: string[]) => webview.asWebviewUri(vscode.Uri.joinPath(this.root, ...parts)).toString();
    const policy = `default-src 'none'; style-src ${webview.cspSource}; script-src 'nonce-${nonce}'`;
    return `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${at("media", "view.css")}"><title>Quarterdeck</title></head>
<body><main id="main"></main><script nonce="${nonce}" src="${at("dist", "view.js")}"></script></body></html>`;
  }
}
