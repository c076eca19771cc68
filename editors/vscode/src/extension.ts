import * as vscode from "vscode";
import { Account } from "./account";
import { Folder } from "./folder";
import { MainView } from "./main_view";
import { Review } from "./review";
import { SessionList } from "./session_list";
import { StatusBar } from "./status_bar";
import { Work } from "./work";

let work: Work | undefined;

/** Called by the editor before it ends. */
export async function deactivate(): Promise<void> {
  await work?.end();
}

/** Called by the editor once it has started. */
export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const account = new Account(context.secrets);
  const list = new SessionList({ mine: "true" });
  const needing = new SessionList({ mine: "true", needs_me: "true" });
  const folder = new Folder(context.workspaceState);
  const log = vscode.window.createOutputChannel("Quarterdeck");
  work = new Work(account, folder, context, log);
  const review = new Review(work, context.workspaceState);
  const view = new MainView(context.extensionUri, account, list, needing, folder, context.workspaceState, work, review);
  const told = (what: () => Promise<void>) => () =>
    what().catch((error: unknown) => void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error)));
  context.subscriptions.push(
    account,
    list,
    needing,
    log,
    work,
    review,
    view,
    new StatusBar(account, needing, view),
    vscode.window.registerWebviewViewProvider("quarterdeck.main", view, { webviewOptions: { retainContextWhenHidden: true } }),
    vscode.commands.registerCommand("quarterdeck.signIn", told(() => account.signIn())),
    vscode.commands.registerCommand("quarterdeck.signInWithToken", told(() => account.signInWithToken())),
    vscode.commands.registerCommand("quarterdeck.signOut", told(() => account.signOut())),
    vscode.commands.registerCommand("quarterdeck.startFlow", told(() => view.show("flows"))),
    vscode.commands.registerCommand("quarterdeck.showNeeding", told(async () => {
      const row = needing.rows[0];
      await view.show(row?.origin === "chat" ? "chat" : "flows", row?.id);
    })),
  );
  await account.restore();
}
