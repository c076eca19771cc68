import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import * as vscode from "vscode";
import type { Account } from "./account";
import { ApiError } from "./api";
import { CodeEditor } from "./code_editor";
import { FolderExecutor, HeldError, Home, outer } from "./executor";
import type { Folder } from "./folder";

const INSTANCE = "instance";
/** A server that is away is asked again after so long. */
const AGAIN_MS = 5_000;

/** This window's folder at work for its person: attached to the server as long as somebody is signed in and trusts it. */
export class Work implements vscode.Disposable {
  /** The number by which sessions are given to this window. */
  number: number | undefined;
  /** Why it carries nothing out just now. */
  away = "";
  executor: FolderExecutor | undefined;
  /** Whether another window carries out what is done in this folder. */
  elsewhere = false;
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onChanged = this.changed.event;
  private readonly editor = new CodeEditor();
  private readonly listening: vscode.Disposable[];
  private line: Promise<void> = Promise.resolve();
  private later: NodeJS.Timeout | undefined;

  constructor(
    private readonly account: Account,
    private readonly folder: Folder,
    private readonly context: vscode.ExtensionContext,
    private readonly log: vscode.OutputChannel,
  ) {
    const again = (): void => this.again();
    this.listening = [account.onChanged(again), vscode.workspace.onDidGrantWorkspaceTrust(again), this.editor];
  }

  dispose(): void {
    for (const one of this.listening) one.dispose();
    this.changed.dispose();
  }

  /** Ends what runs; the sessions wait for the window to open again. */
  async end(): Promise<void> {
    clearTimeout(this.later);
    await this.executor?.dispose();
    this.executor = undefined;
  }

  /** Works here instead of in the window that has the folder now. */
  async takeOver(): Promise<void> {
    if (!this.context.storageUri) return;
    clearTimeout(this.later);
    await Home.ask(this.context.storageUri.fsPath);
    this.again();
    await this.line;
  }

  private async letGo(): Promise<void> {
    await this.end();
    this.number = undefined;
    this.elsewhere = true;
    this.say("Another window works in this folder now.");
  }

  private again(): void {
    this.line = this.line.then(() => this.begin());
  }

  private async begin(): Promise<void> {
    await this.end();
    this.number = undefined;
    this.elsewhere = false;
    const { api } = this.account;
    const place = this.context.storageUri;
    if (!this.folder.path) this.say("Open a folder to work in it.");
    else if (!vscode.workspace.isTrusted) this.say("You don't trust this folder, so nothing is carried out in it.");
    else if (api && place) {
      let home: Home | undefined;
      try {
        const larger = await outer(this.folder.path);
        if (larger) return this.say(`This folder is a part of the checkout ${larger}. Sessions work on whole checkouts: open that one.`);
        home = await Home.open(place.fsPath); // before the server hears of us: another window that has it keeps its token
        const instance = await this.instance();
        const name = `${vscode.env.appName} on ${hostname()}`.slice(0, 100);
        const told = { kind: "ide", name, instance, folder: this.folder.path };
        const attached = await api.post<{ executor: number; token: string }>("/executors", told);
        this.executor = new FolderExecutor({
          server: api.server, token: attached.token, instance, name, folder: this.folder.path, home,
          version: String((this.context.extension.packageJSON as { version: string }).version),
          editor: this.editor, log: (line) => this.log.appendLine(line),
        });
        this.executor.onState((state, detail) => this.say(state === "connected" ? "" : state === "refused" ? "Another window works in this folder." : detail));
        this.executor.start();
        home.onWanted(() => (this.line = this.line.then(() => this.letGo())));
        this.number = attached.executor;
        this.say("");
      } catch (error) {
        home?.close();
        this.elsewhere = error instanceof HeldError;
        this.say(error instanceof Error ? error.message : String(error));
        if (error instanceof HeldError || !(error instanceof ApiError) || error.status === 0 || error.status >= 500) this.later = setTimeout(() => this.again(), AGAIN_MS);
      }
    }
  }

  /** By which the server knows this folder of this installation again. */
  private async instance(): Promise<string> {
    const kept = this.context.workspaceState.get<string>(INSTANCE);
    if (kept) return kept;
    const made = randomBytes(16).toString("hex");
    await this.context.workspaceState.update(INSTANCE, made);
    return made;
  }

  private say(why: string): void {
    this.away = why;
    this.changed.fire();
  }
}
