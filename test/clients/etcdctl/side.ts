/**
 * One side of a comparison: an etcdctl of some release and an address, which is etcd's own or the proxy's. A
 * scenario drives both sides with the same commands; each keeps a transcript.
 */
import assert from 'node:assert/strict';
import { type EtcdInstall, type EtcdMember, etcdctl, startEtcdctl } from '../../support/etcd.ts';
import { type Finished, type RunningProcess, type RunOptions, tempDir } from '../../support/process.ts';
import { until } from '../../support/until.ts';
import type { Step, Transcript } from './transcript.ts';

/** Limits of etcdctl's own that only a hang should reach. */
const PATIENT = ['--command-timeout=30s', '--dial-timeout=30s'];

/** A command that goes on, and what it is called in the transcript. */
export interface Started {
  readonly command: string;
  readonly process: RunningProcess;
}

export class Side implements Transcript {
  readonly steps: Step[] = [];
  readonly ctl: EtcdInstall;
  readonly address: string;
  /** The etcd behind the address. */
  readonly member: EtcdMember;

  constructor(ctl: EtcdInstall, address: string, member: EtcdMember) {
    this.ctl = ctl;
    this.address = address;
    this.member = member;
  }

  /** Runs a command to its end, whatever that is. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    const done = await etcdctl(this.ctl, this.address, [...PATIENT, ...args], options);
    this.steps.push({ command: args.join(' '), ...done });
    return done;
  }

  /** Runs a command that must succeed. */
  async ok(args: readonly string[], input?: string): Promise<string> {
    const done = await this.run(args, input === undefined ? {} : { input });
    assert.equal(done.code, 0, `${args.join(' ')}: ${done.stderr.slice(-500)}`);
    return done.stdout;
  }

  /** Runs a command whose lines come in the order of their ids, which is another in every etcd. */
  async lines(args: readonly string[]): Promise<void> {
    const done = await etcdctl(this.ctl, this.address, [...PATIENT, ...args]);
    const withoutId = (line: string) => line.slice(line.indexOf(','));
    const lines = done.stdout.split('\n').sort((a, b) => withoutId(a).localeCompare(withoutId(b)));
    this.steps.push({ command: args.join(' '), ...done, stdout: lines.join('\n') });
  }

  /** Runs a command that must fail. */
  async fails(args: readonly string[], reason?: RegExp): Promise<void> {
    const done = await this.run(args);
    assert.notEqual(done.code, 0, `${args.join(' ')} succeeded: ${done.stdout.slice(-500)}`);
    if (reason !== undefined) assert.match(done.stdout + done.stderr, reason);
  }

  /** A fresh folder for commands that leave files. */
  folder(): Promise<string> {
    return tempDir('etcdctl');
  }

  /** The same side with a transcript that nobody compares. */
  aside(): Side {
    return new Side(this.ctl, this.address, this.member);
  }

  /** Starts a command that goes on. */
  async start(args: readonly string[]): Promise<Started> {
    const process = await startEtcdctl(this.ctl, this.address, [...PATIENT, ...args]);
    return { command: args.join(' '), process };
  }

  /**
   * Waits for the end of a started command, after a signal where one is given, and keeps it in the transcript.
   * @param repeated text that may have come any number of times
   */
  async end(started: Started, signal?: NodeJS.Signals, repeated?: RegExp): Promise<void> {
    if (signal !== undefined) started.process.signal(signal);
    const exit = await started.process.waitForExit(30_000);
    const once = (text: string) => (repeated === undefined ? text : text.replace(repeated, '<repeated>\n'));
    const { stdout, stderr } = started.process;
    this.steps.push({ command: started.command, ...exit, stdout: once(stdout), stderr: once(stderr) });
  }

  /** Waits, outside the transcript and past the proxy, until a prefix has so many keys. */
  async untilCount(prefix: string, count: number): Promise<void> {
    const args = ['get', prefix, '--prefix', '--keys-only'];
    await until(`${count} keys under ${prefix}`, async () => {
      const { stdout } = await etcdctl(this.ctl, this.member.address, args);
      return stdout.split('\n').filter((line) => line !== '').length === count;
    });
  }
}

/** The id in the output of `lease grant`. */
export function leaseId(output: string): string {
  const id = /\b[0-9a-f]{14,16}\b/.exec(output)?.[0];
  assert.ok(id, `no lease id in ${output}`);
  return id;
}
