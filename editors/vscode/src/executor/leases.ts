import { pause, type Times } from "./protocol";
import type { Server } from "./server";
import type { Subject } from "./subject";

/** Renews what the subjects hold; without an answer for `dropMs` it kills it all, as the server may have given it to another. */
export class Leases {
  /** The number that the server gave; nothing is renewed before. */
  runner = 0;
  private renewed = performance.now();
  private beating = new AbortController();

  constructor(
    private readonly server: Server,
    private readonly subjects: Map<string, Subject>,
    private readonly lose: (subject: Subject) => void,
    private readonly times: Times,
    private readonly log: (line: string) => void,
  ) {}

  /** Renews until the signal. */
  async keep(over: AbortSignal): Promise<void> {
    over.addEventListener("abort", () => this.renewNow());
    while (!over.aborted) {
      this.beating = new AbortController();
      await this.renew();
      await pause(this.times.heartbeatMs, this.beating.signal);
    }
  }

  /** Doesn't wait for the next heartbeat's time. */
  renewNow(): void {
    this.beating.abort();
  }

  private async renew(): Promise<void> {
    if (!this.runner) return;
    const held = [...this.subjects.values()].filter((one) => one.epoch > 0).map((one) => ({ subject: one.name, lease_epoch: one.epoch }));
    try {
      const { lost } = await this.server.heartbeat({ runner: this.runner, held });
      this.renewed = performance.now();
      for (const { subject: name, lease_epoch } of held) {
        // An offer of a newer lease may have come while the answer was on its way.
        const subject = this.subjects.get(name);
        if (subject && lost.includes(name) && subject.epoch === lease_epoch) this.lose(subject);
      }
    } catch (error) {
      this.log(`heartbeat: ${String(error)}`);
      if (performance.now() - this.renewed > this.times.dropMs) this.drop();
    }
  }

  private drop(): void {
    const seconds = Math.round(this.times.dropMs / 1000);
    const reason =
      `The executor could not reach the server for ${seconds} seconds and killed this call. ` +
      "Files may be changed only in part. Look at them before you do it again.";
    for (const subject of this.subjects.values()) {
      if (subject.epoch === 0) continue;
      subject.epoch = 0;
      void subject.interrupt(reason);
    }
  }
}
