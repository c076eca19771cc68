import type { ExtensionContext } from "vscode";

/** Called by the editor once it has started. */
export function activate(_context: ExtensionContext): void {}
