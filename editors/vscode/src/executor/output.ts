import { createHash } from "node:crypto";
import type { Offer } from "./protocol";
import type { Server } from "./server";

/** Of a command's output; the server keeps no more either. */
const OUTPUT_BYTES = 16 * 1024 * 1024;
const PIECE_BYTES = 64 * 1024;

/** What a call prints, on its way to the server; all of it is kept until the call ends, for a server that has lost some. */
export class Output {
  size = 0;
  /** Whether it printed more than is taken. */
  lost = false;
  private readonly hash = createHash("sha256");
  private kept = Buffer.alloc(64 * 1024);
  private sent = 0;
  private sending = false;
  private line: Promise<void> = Promise.resolve();

  constructor(
    private readonly server: Server,
    private readonly offer: Offer,
  ) {}

  get sha256(): string {
    return this.size ? this.hash.copy().digest("hex") : "";
  }

  write(data: Buffer): void {
    const part = data.subarray(0, Math.max(0, OUTPUT_BYTES - this.size));
    this.lost ||= part.length < data.length;
    if (!part.length) return;
    this.hash.update(part);
    if (this.size + part.length > this.kept.length) {
      const more = Buffer.alloc(Math.max(2 * this.kept.length, this.size + part.length));
      this.kept.copy(more, 0, 0, this.size);
      this.kept = more;
    }
    part.copy(this.kept, this.size);
    this.size += part.length;
    if (!this.sending) this.line = this.send();
  }

  async end(): Promise<void> {
    await this.line;
  }

  private async send(): Promise<void> {
    this.sending = true;
    try {
      while (this.sent < this.size) {
        const piece = this.kept.subarray(this.sent, Math.min(this.size, this.sent + PIECE_BYTES));
        this.sent = Math.min(await this.server.output(this.offer.call_id, this.offer.lease_epoch, this.sent, piece), this.size);
      }
    } catch {
      this.lost = true; // the lease is over, or the server takes none of it
    } finally {
      this.sending = false;
    }
  }
}
