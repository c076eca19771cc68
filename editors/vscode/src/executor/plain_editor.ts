import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Editor, Terminal } from "./editor";

/** A folder without an editor: files on disk, and commands that nobody sees. */
export class PlainEditor implements Editor {
  async read(path: string): Promise<Uint8Array | undefined> {
    return readFile(path).catch(() => undefined);
  }

  async write(path: string, text: string | Uint8Array): Promise<void> {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }

  async remove(path: string): Promise<void> {
    await rm(path, { force: true });
  }

  terminal(): Terminal {
    return { write: () => undefined, end: () => undefined };
  }
}
