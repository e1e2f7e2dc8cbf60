/**
 * Programs that a test runs: started with their input and output at hand, waited for by what they write or by
 * their end, always with a time limit, and gone when the test process is, whatever ended that.
 */
import type { ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { waitUntilStill } from './still.ts';
import { signalGroup, spawnGuarded } from './watchdog.ts';

export { runGuarded, tempDir } from './watchdog.ts';

/** How a program ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A program that has ended, with what it wrote. */
export interface Finished extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** How to start a program. */
export interface StartOptions {
  readonly cwd?: string;
  /** Added to this process's environment; `undefined` takes a variable away. */
  readonly env?: NodeJS.ProcessEnv;
  /** How the outputs become text: utf8 by default; latin1 keeps every byte apart. */
  readonly encoding?: 'utf8' | 'latin1';
  /** How many of the last characters of each output are kept at least; 4 million by default. */
  readonly keep?: number;
}

/** How to run a program to its end. */
export interface RunOptions extends StartOptions {
  /** What it reads from its standard input. */
  readonly input?: string;
  /** It is killed, and the run fails, when it takes longer; 30 seconds by default. */
  readonly limitMs?: number;
}

const unreadLines = 10_000;

/**
 * After a pause of this process its timers come first, and then what a program wrote before its end: in so many turns of
 * the event loop all of that is read.
 */
const UNREAD_TURNS = 10;

/** Acts when the event loop has had so many turns. */
function afterTurns(turns: number, act: () => void): void {
  if (turns === 0) act();
  else setImmediate(afterTurns, turns - 1, act);
}

/** A started program. It does not keep the test process alive; waiting for something of it does. */
export class RunningProcess implements AsyncDisposable {
  /** The program's process id, which is also its process group. */
  readonly pid: number;
  /** How it ended; undefined while it runs. */
  exit: Exit | undefined;
  private readonly text = { stdout: '', stderr: '' };
  private readonly unread: string[] = [];
  private readonly child: ChildProcess;
  private readonly name: string;
  private changed = Promise.withResolvers<void>();

  constructor(child: ChildProcess, name: string, options: StartOptions) {
    this.child = child;
    this.name = name;
    this.pid = child.pid ?? 0;
    this.collect('stdout', options);
    this.collect('stderr', options);
    child.stdin?.on('error', () => {}); // a program may end without reading all of its input
    child.once('exit', (code, signal) => {
      const end = (): void => {
        this.exit ??= { code, signal };
        this.tell();
      };
      child.once('close', end);
      setTimeout(() => afterTurns(UNREAD_TURNS, end), 1_000).unref(); // where something it started holds the output open
    });
  }

  /** The last of what it wrote to its standard output. */
  get stdout(): string {
    return this.text.stdout;
  }

  /** The last of what it wrote to its standard error output. */
  get stderr(): string {
    return this.text.stderr;
  }

  private collect(name: 'stdout' | 'stderr', { encoding = 'utf8', keep = 4_000_000 }: StartOptions): void {
    let rest = '';
    const read = (lines: readonly string[]): void => {
      this.unread.push(...lines);
      if (this.unread.length > 2 * unreadLines) this.unread.splice(0, this.unread.length - unreadLines);
      this.tell();
    };
    const stream = this.child[name] as Socket;
    stream.setEncoding(encoding).on('data', (chunk: string) => {
      const text = this.text[name] + chunk;
      this.text[name] = text.length > 2 * keep ? text.slice(-keep) : text;
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      read(lines);
    });
    stream.once('end', () => read(rest === '' ? [] : [rest]));
  }

  private tell(): void {
    this.changed.resolve();
    this.changed = Promise.withResolvers();
  }

  private failure(what: string): Error {
    return new Error(`${this.name}: ${what}\n${this.stdout.slice(-2_000)}\n${this.stderr.slice(-4_000)}`);
  }

  /** Waits until `find` returns something; it is asked after each output and at the end. */
  private async wait<T>(find: () => T | undefined, limitMs: number, what: string): Promise<T> {
    const late = Promise.withResolvers<boolean>();
    const timer = setTimeout(late.resolve, limitMs, true);
    try {
      for (;;) {
        const changed = this.changed.promise;
        const found = find();
        if (found !== undefined) return found;
        if (this.exit !== undefined) throw this.failure(`no ${what}; it ended: ${JSON.stringify(this.exit)}`);
        if ((await Promise.race([changed, late.promise])) === true)
          throw this.failure(`no ${what} within ${limitMs} ms`);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits for a line of either output that matches; the lines up to it count as read for the next call. */
  waitForLine(pattern: RegExp, limitMs = 10_000): Promise<string> {
    const find = (): string | undefined => {
      const at = this.unread.findIndex((line) => pattern.test(line));
      return this.unread.splice(0, at < 0 ? this.unread.length : at + 1)[at];
    };
    return this.wait(find, limitMs, `line like ${pattern}`);
  }

  /** Waits for the program's end. */
  waitForExit(limitMs = 10_000): Promise<Exit> {
    return this.wait(() => this.exit, limitMs, 'end');
  }

  /** Writes to the program's standard input. */
  write(text: string): void {
    this.child.stdin?.write(text);
  }

  /** Ends the program's standard input. */
  endInput(): void {
    this.child.stdin?.end();
  }

  /** Reads nothing more of its standard error output, as a reader that is slow or has stopped. */
  holdStderr(): void {
    this.child.stderr?.pause();
  }

  /** Reads its standard error output again. */
  releaseStderr(): void {
    this.child.stderr?.resume();
  }

  /** Sends a signal to the program and what it started; false where it has ended. With SIGSTOP it stands still afterwards. */
  signal(signal: NodeJS.Signals): boolean {
    const sent = this.exit === undefined && signalGroup(this.pid, signal);
    if (sent && signal === 'SIGSTOP') waitUntilStill(this.pid);
    return sent;
  }

  /** Ends the program, by force where it takes too long. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', limitMs = 5_000): Promise<Exit> {
    this.signal(signal);
    const force = setTimeout(() => this.signal('SIGKILL'), limitMs);
    try {
      return await this.waitForExit(limitMs + 10_000);
    } finally {
      clearTimeout(force);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Starts a program; its standard input stays open until `endInput`. */
export async function startProcess(
  program: string,
  args: readonly string[],
  options: StartOptions = {},
): Promise<RunningProcess> {
  const place = options.cwd === undefined ? {} : { cwd: options.cwd };
  const env = { ...process.env, ...options.env };
  const child = await spawnGuarded(program, args, { ...place, env });
  return new RunningProcess(child, program, options);
}

/** Runs a program to its end. A program that fails is a result, not an error; one that hangs is an error. */
export async function runProcess(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  await using running = await startProcess(program, args, options);
  if (options.input !== undefined) running.write(options.input);
  running.endInput();
  const exit = await running.waitForExit(options.limitMs ?? 30_000);
  return { ...exit, stdout: running.stdout, stderr: running.stderr };
}
