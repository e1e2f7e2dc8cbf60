/** A client of its own process that watches a range of keys, is held still by SIGSTOP, and goes on. */
import { join } from 'node:path';
import { type RunningProcess, startProcess } from '../../support/process.ts';
import type { Report } from './reader.ts';

const PROGRAM = join(import.meta.dirname, 'reader.ts');

export class StoppedReader implements AsyncDisposable {
  readonly #process: RunningProcess;

  private constructor(process: RunningProcess) {
    this.#process = process;
  }

  /** Starts one that watches keys from a revision on, at which one of them must have been put. */
  static async start(
    address: string,
    key: string,
    rangeEnd: string,
    revision: number,
  ): Promise<StoppedReader> {
    const args = [PROGRAM, address, key, rangeEnd, String(revision)];
    const reader = new StoppedReader(await startProcess(process.execPath, args));
    await reader.reach(revision);
    return reader;
  }

  /** Holds it still: it reads nothing, and its kernel takes what fits into the buffers of its socket. */
  hold(): void {
    this.#process.signal('SIGSTOP');
  }

  release(): void {
    this.#process.signal('SIGCONT');
  }

  /** Waits until it has had a revision, or something is wrong with what it has had. */
  async reach(revision: number, limitMs = 60_000): Promise<Report> {
    const deadline = Date.now() + limitMs;
    for (;;) {
      this.#process.write('report\n');
      const report = JSON.parse(await this.#process.waitForLine(/^\{/, limitMs)) as Report;
      if (report.last >= revision || report.fault !== undefined || Date.now() > deadline) return report;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.release();
    await this.#process.stop('SIGKILL');
  }
}
