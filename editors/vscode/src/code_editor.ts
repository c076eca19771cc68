import * as vscode from "vscode";
import type { Editor, Terminal } from "./executor";

/** The editor's buffers, edits and terminals, as the executor uses them. */
export class CodeEditor implements Editor, vscode.Disposable {
  private readonly terminals = new Map<string, Shown>();

  async read(path: string): Promise<Uint8Array | undefined> {
    const open = this.open(path);
    if (open) return new TextEncoder().encode(open.getText());
    try {
      return await vscode.workspace.fs.readFile(vscode.Uri.file(path));
    } catch {
      return undefined;
    }
  }

  async write(path: string, text: string | Uint8Array): Promise<void> {
    const uri = vscode.Uri.file(path);
    if (typeof text !== "string") return vscode.workspace.fs.writeFile(uri, text);
    const edit = new vscode.WorkspaceEdit();
    const there = this.open(path) ?? (await vscode.workspace.fs.stat(uri).then(() => vscode.workspace.openTextDocument(uri), () => undefined));
    if (there) {
      const end = there.lineAt(there.lineCount - 1).range.end;
      edit.replace(uri, new vscode.Range(new vscode.Position(0, 0), end), text);
    } else edit.createFile(uri, { contents: new TextEncoder().encode(text) });
    if (!(await vscode.workspace.applyEdit(edit))) throw new Error(`The editor refused to change ${path}.`);
    const after = this.open(path);
    if (after?.isDirty && !(await after.save())) throw new Error(`${path} was changed and could not be saved.`);
  }

  async unsaved(): Promise<string[]> {
    return vscode.workspace.textDocuments.filter((one) => one.uri.scheme === "file" && one.isDirty && !one.isClosed).map((one) => one.uri.fsPath);
  }

  async remove(path: string): Promise<void> {
    const edit = new vscode.WorkspaceEdit();
    edit.deleteFile(vscode.Uri.file(path), { ignoreIfNotExists: true });
    if (!(await vscode.workspace.applyEdit(edit))) throw new Error(`The editor refused to delete ${path}.`);
  }

  terminal(subject: string, command: string, interrupt: () => void): Terminal {
    let shown = this.terminals.get(subject);
    if (!shown || shown.closed) {
      shown = new Shown(`Quarterdeck #${subject.split(":")[1] ?? ""}`);
      this.terminals.set(subject, shown);
    }
    shown.begin(command, interrupt);
    return shown;
  }

  dispose(): void {
    for (const shown of this.terminals.values()) shown.dispose();
  }

  private open(path: string): vscode.TextDocument | undefined {
    return vscode.workspace.textDocuments.find((one) => one.uri.scheme === "file" && one.uri.fsPath === path && !one.isClosed);
  }
}

/** A terminal in which a session's commands are seen; Ctrl+C ends the one that runs. */
class Shown implements Terminal, vscode.Pseudoterminal {
  closed = false;
  private readonly writing = new vscode.EventEmitter<string>();
  readonly onDidWrite = this.writing.event;
  private readonly terminal: vscode.Terminal;
  private waiting: string[] | undefined = [];
  private interrupt: () => void = () => undefined;

  constructor(name: string) {
    this.terminal = vscode.window.createTerminal({ name, pty: this, iconPath: new vscode.ThemeIcon("hubot") });
  }

  begin(command: string, interrupt: () => void): void {
    this.interrupt = interrupt;
    this.terminal.show(true);
    this.write(`\x1b[1m$ ${plain(command)}\x1b[0m\n`);
  }

  write(data: string): void {
    const text = data.replace(/\r?\n/g, "\r\n");
    if (this.waiting) this.waiting.push(text);
    else this.writing.fire(text);
  }

  end(words: string): void {
    this.interrupt = () => undefined;
    this.write(`\x1b[2m${plain(words)}\x1b[0m\n\n`);
  }

  open(): void {
    for (const text of this.waiting ?? []) this.writing.fire(text);
    this.waiting = undefined;
  }

  close(): void {
    this.closed = true;
  }

  handleInput(data: string): void {
    if (data === "\x03") this.interrupt();
  }

  dispose(): void {
    this.terminal.dispose();
    this.writing.dispose();
  }
}

/** Without what would steer the terminal. */
function plain(text: string): string {
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "�");
}
