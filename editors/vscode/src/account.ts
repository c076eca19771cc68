import { createHash, randomBytes } from "node:crypto";
import * as vscode from "vscode";
import { Api, ApiError } from "./api";

const PASTE = "Paste the code that the page shows";

/** Who is signed in where: the token lies in the editor's secret storage, one for each server. */
export class Account implements vscode.Disposable {
  api: Api | undefined;
  username = "";
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onChanged = this.changed.event;
  private coming: ((query: URLSearchParams) => void) | undefined;
  private readonly listening: vscode.Disposable[];

  constructor(private readonly secrets: vscode.SecretStorage) {
    this.listening = [
      vscode.window.registerUriHandler({ handleUri: (uri) => this.coming?.(new URLSearchParams(uri.query)) }),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (change.affectsConfiguration("quarterdeck.serverUrl")) void this.restore();
      }),
    ];
  }

  get server(): string {
    return vscode.workspace.getConfiguration("quarterdeck").get<string>("serverUrl", "").replace(/\/+$/, "");
  }

  /** Signs in with the token that is kept for the server, if there is one and it is still good. */
  async restore(): Promise<void> {
    const server = this.server;
    const token = await this.secrets.get(key(server));
    this.api = undefined;
    this.username = "";
    if (token) {
      try {
        await this.use(server, token);
        return;
      } catch (error) {
        if (error instanceof ApiError && error.status === 401) await this.secrets.delete(key(server));
        else {
          // The server is away: what is shown says so, and comes back with it.
          this.api = new Api(server, token);
        }
      }
    }
    this.changed.fire();
  }

  /** By the browser: its person allows it there, and the code comes back by itself or is pasted. */
  async signIn(): Promise<void> {
    const verifier = randomBytes(32).toString("base64url");
    const state = randomBytes(16).toString("base64url");
    const back = `${vscode.env.uriScheme}://quarterdeck.quarterdeck/signed-in`;
    const asked = new URLSearchParams({
      name: vscode.env.appName.slice(0, 100),
      code_challenge: createHash("sha256").update(verifier).digest("base64url"),
      state,
      ...(vscode.env.uiKind === vscode.UIKind.Desktop ? { redirect_uri: back } : {}),
    });
    const server = this.server; // whatever the setting says by the time that the code is there
    await vscode.env.openExternal(vscode.Uri.parse(`${server}/editors/sign-in?${asked.toString()}`, true));
    const code = await this.code(state);
    if (!code) return;
    const body = JSON.stringify({ code: code.trim(), code_verifier: verifier });
    const answer = await fetch(`${server}/api/v1/sign-in/codes`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body,
    });
    if (!answer.ok) {
      const told = (await answer.json().catch(() => ({}))) as { detail?: string };
      throw new ApiError(answer.status, "", told.detail ?? "The code was not taken. Sign in once more.");
    }
    await this.keep(server, ((await answer.json()) as { token: string }).token);
  }

  /** With a token that was made by hand. */
  async signInWithToken(): Promise<void> {
    const server = this.server;
    const token = await vscode.window.showInputBox({
      title: `Sign in to ${server}`,
      prompt: "A token of yours; `qd token add` makes one, and your settings in the browser do.",
      password: true,
      ignoreFocusOut: true,
    });
    if (token?.trim()) await this.keep(server, token.trim());
  }

  async signOut(): Promise<void> {
    await this.secrets.delete(key(this.server));
    await this.restore();
  }

  dispose(): void {
    for (const one of this.listening) one.dispose();
    this.changed.dispose();
  }

  /** The code that comes back, or that is pasted: whichever is first. */
  private async code(state: string): Promise<string | undefined> {
    const cancel = new vscode.CancellationTokenSource();
    const returned = new Promise<string>((done) => {
      this.coming = (query) => {
        if (query.get("state") === state) done(query.get("code") ?? "");
      };
    });
    const pasted = vscode.window.showInputBox({ title: "Sign in to Quarterdeck", prompt: PASTE, ignoreFocusOut: true }, cancel.token);
    const code = await Promise.race([returned, pasted]);
    this.coming = undefined;
    cancel.cancel();
    return code;
  }

  private async keep(server: string, token: string): Promise<void> {
    await this.use(server, token);
    await this.secrets.store(key(server), token);
  }

  private async use(server: string, token: string): Promise<void> {
    const api = new Api(server, token);
    this.username = (await api.get<{ username: string }>("/whoami")).username;
    this.api = api;
    this.changed.fire();
  }
}

function key(server: string): string {
  return `token of ${server}`;
}
