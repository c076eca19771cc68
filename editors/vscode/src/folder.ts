import { execFile } from "node:child_process";
import { promisify } from "node:util";
import * as vscode from "vscode";
import type { Api } from "./api";

const run = promisify(execFile);
const REMEMBERED = "project";

/** The folder that is open, and the project of the server that it is a checkout of. */
export class Folder {
  projects: string[] = [];
  project = "";
  /** The models that a session may be begun with, the usual one first; without any, a script answers in a model's place. */
  models: string[] = [];

  constructor(private readonly remembered: vscode.Memento) {}

  get path(): string {
    return vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? "";
  }

  /** Looks up the projects of the account, and which of them the folder's remote names. */
  async look(api: Api | undefined): Promise<void> {
    this.projects = [];
    this.project = "";
    this.models = [];
    if (!api) return;
    const { default: usual, rules } = await api.get<{ default: string | null; rules: { default: string | null }[] }>("/models");
    this.models = [...new Set([usual, ...rules.map((rule) => rule.default), "scripted"].filter((one): one is string => Boolean(one)))];
    this.projects = (await api.get<{ path: string }[]>("/projects")).map((one) => one.path);
    const known = this.remembered.get<string>(REMEMBERED) ?? (await this.named(api.server));
    this.project = this.projects.includes(known) ? known : this.projects.length === 1 ? (this.projects[0] ?? "") : "";
  }

  async remember(project: string): Promise<void> {
    this.project = project;
    await this.remembered.update(REMEMBERED, project);
  }

  private async named(server: string): Promise<string> {
    if (!this.path || !vscode.workspace.isTrusted) return "";
    try {
      const { stdout } = await run("git", ["remote", "-v"], { cwd: this.path });
      const host = new URL(server).host;
      for (const line of stdout.split("\n")) {
        const url = line.split(/\s+/)[1] ?? "";
        if (URL.canParse(url) && new URL(url).host === host) return decodeURIComponent(new URL(url).pathname.replace(/^\/git\//, "").replace(/\.git$/, ""));
      }
    } catch {
      // No git, no checkout, or a remote that is no URL: the person picks the project.
    }
    return "";
  }
}
