import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import type { Editor, Terminal } from "./editor";

/** A folder without an editor: files on disk, what is not saved yet in a folder beside it, and commands that nobody sees. */
export class PlainEditor implements Editor {
  constructor(
    private readonly folder: string,
    private readonly buffers: string,
  ) {}

  async read(path: string): Promise<Uint8Array | undefined> {
    return readFile(this.buffer(path)).catch(() => readFile(path).catch(() => undefined));
  }

  async write(path: string, text: string | Uint8Array): Promise<void> {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    await rm(this.buffer(path), { force: true });
  }

  async unsaved(): Promise<string[]> {
    const found = await readdir(this.buffers, { recursive: true, withFileTypes: true }).catch(() => []);
    return found.filter((one) => one.isFile()).map((one) => join(this.folder, relative(this.buffers, join(one.parentPath, one.name))));
  }

  async remove(path: string): Promise<void> {
    await rm(path, { force: true });
  }

  terminal(): Terminal {
    return { write: () => undefined, end: () => undefined };
  }

  private buffer(path: string): string {
    return join(this.buffers, relative(this.folder, path));
  }
}
