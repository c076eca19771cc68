/** What an executor needs of the editor whose folder it works in. */

/** Where a person sees what a command prints. */
export interface Terminal {
  write(data: string): void;
  /** The command ended; what it printed stays. */
  end(words: string): void;
}

export interface Editor {
  /** A file as the person sees it: the unsaved buffer, if there is one; undefined where no file is. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Puts a text into a file, parents included, so that the person can undo it, or bytes that are no text; it is on disk then. */
  write(path: string, text: string | Uint8Array): Promise<void>;
  /** The files whose buffers differ from what is on disk. */
  unsaved(): Promise<string[]>;
  remove(path: string): Promise<void>;
  /** Shows a command; `interrupt` is what the person's Ctrl+C does. */
  terminal(subject: string, command: string, interrupt: () => void): Terminal;
}
