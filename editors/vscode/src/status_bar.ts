import * as vscode from "vscode";
import type { Account } from "./account";
import type { MainView } from "./main_view";
import type { SessionList } from "./session_list";

/** How many sessions need the person, at the foot of the window; and a word when one begins to. */
export class StatusBar implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("quarterdeck.needing", vscode.StatusBarAlignment.Left);
  private readonly listening: vscode.Disposable;
  private known = new Set<number>();
  private first = true;

  constructor(
    private readonly account: Account,
    private readonly needing: SessionList,
    private readonly view: MainView,
  ) {
    this.item.name = "Quarterdeck";
    this.listening = vscode.Disposable.from(needing.onChanged(() => this.show()), account.onChanged(() => this.begin()));
    this.show();
    this.item.show();
  }

  dispose(): void {
    this.listening.dispose();
    this.item.dispose();
  }

  private begin(): void {
    this.known.clear();
    this.first = true;
    this.show();
  }

  private show(): void {
    const needing = this.needing.rows;
    if (!this.account.api) this.set("$(debug-disconnect) Quarterdeck", "Sign in to see your sessions", "quarterdeck.signIn");
    else if (this.needing.away) this.set("$(warning) Quarterdeck", this.needing.away, "quarterdeck.showNeeding");
    else if (needing.length) {
      const words = needing.length === 1 ? "1 session needs you" : `${needing.length} sessions need you`;
      this.set(`$(bell-dot) ${words}`, needing.map((row) => `#${row.id} ${row.title}`).join("\n"), "quarterdeck.showNeeding");
    } else this.set("$(check) Quarterdeck", `Signed in as ${this.account.username}; nothing needs you`, "quarterdeck.showNeeding");
    if (this.needing.heard) this.announce(needing.map((row) => row.id));
  }

  private set(text: string, tooltip: string, command: string): void {
    this.item.text = text;
    this.item.tooltip = tooltip;
    this.item.command = command;
  }

  private announce(needing: number[]): void {
    const fresh = needing.filter((id) => !this.known.has(id));
    this.known = new Set(needing);
    const row = this.needing.rows.find((one) => one.id === fresh[0]);
    if (this.first) this.first = false; // what needed them before the window opened stands there already
    else if (row && !this.view.visible) {
      void vscode.window.showInformationMessage(`Session #${row.id} needs you: ${row.title}`, "Show").then((answer) => {
        if (answer) void this.view.show(row.origin === "chat" ? "chat" : "flows", row.id);
      });
    }
  }
}
