/** Starts a server and looks at how long that takes, what it costs, and for how long it stands still later. */
import { type ChildProcess, spawn } from 'node:child_process';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { createInterface, type Interface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSeconds } from './cpu.ts';
import { residentBytes } from './memory.ts';

/** How often, in milliseconds, a server that starts is tried. */
const TRY_MS = 2;
const LIMIT_MS = 30_000;

/** What a server is asked with as soon as it may listen. */
const PREFACE = Buffer.from('505249202a20485454502f322e300d0a0d0a534d0d0a0d0a000000040000000000', 'hex');

/** A server that runs, and what it took until then. */
export interface Started extends AsyncDisposable {
  readonly pid: number;
  readonly seconds: number;
  readonly cpu: number;
  readonly resident: number;
  /** What it writes to its standard error output. */
  readonly lines: Interface;
}

/** Starts a program and waits until it answers the first bytes of HTTP/2. */
export async function startServer(
  address: string,
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Started> {
  const begun = performance.now();
  const child = spawn(program, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
  });
  const lines = createInterface(child.stderr);
  try {
    while (!(await answers(address))) {
      if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}`);
      if (performance.now() - begun > LIMIT_MS) throw new Error(`${program} does not serve`);
      await sleep(TRY_MS);
    }
  } catch (error) {
    await end(child);
    throw error;
  }
  const seconds = (performance.now() - begun) / 1000;
  const pid = child.pid as number;
  return {
    pid,
    seconds,
    cpu: cpuSeconds(pid),
    resident: residentBytes(pid),
    lines,
    [Symbol.asyncDispose]: () => end(child),
  };
}

function answers(address: string): Promise<boolean> {
  const [host, port] = address.split(':') as [string, string];
  return new Promise((resolve) => {
    const socket = connect(Number(port), host, () => socket.write(PREFACE));
    socket.once('data', () => {
      resolve(true);
      socket.destroy();
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}

/** What our proxy is started with for {@link longestTurn}. */
export const TURN_METER: NodeJS.ProcessEnv = {
  NODE_OPTIONS: `--import=${import.meta.dirname}/turn-preload.ts`,
};

/** The CPU time of the longest turn of the event loop since this was last asked, in milliseconds. */
export function longestTurn({ pid, lines }: Started): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const timer = setTimeout(() => reject(new Error('no word of the longest turn')), LIMIT_MS);
  const read = (line: string): void => {
    if (!line.includes('"longest turn"')) return;
    clearTimeout(timer);
    lines.off('line', read);
    resolve((JSON.parse(line) as { ms: number }).ms);
  };
  lines.on('line', read);
  process.kill(pid, 'SIGUSR2');
  return promise;
}

/** A call that a proxy answers by itself, whatever it says: for an unknown service. */
const HEALTH = {
  ':method': 'POST',
  ':path': '/grpc.health.v1.Health/Check',
  'content-type': 'application/grpc',
  te: 'trailers',
};
const UNKNOWN_SERVICE = Buffer.from('00000000030a0178', 'hex');

/** Measures pauses: the longest time that a gRPC call waits which the server answers at once, one call after the other. */
export class PauseMeter implements Disposable {
  readonly #session: ClientHttp2Session;
  #longest = 0;
  #running = true;

  constructor(address: string) {
    this.#session = connectHttp2(`http://${address}`);
    this.#session.on('error', () => {
      this.#running = false;
    });
    void this.#run();
  }

  /** The longest pause since the last question, in milliseconds. */
  take(): number {
    const longest = this.#longest;
    this.#longest = 0;
    return longest;
  }

  [Symbol.dispose](): void {
    this.#running = false;
    this.#session.destroy();
  }

  async #run(): Promise<void> {
    while (this.#running) {
      const begun = performance.now();
      await this.#call();
      this.#longest = Math.max(this.#longest, performance.now() - begun);
      await sleep(1);
    }
  }

  #call(): Promise<void> {
    return new Promise((resolve) => {
      const stream = this.#session.request(HEALTH);
      stream.on('error', () => {}); // `close` follows
      stream.on('close', resolve);
      stream.resume();
      stream.end(UNKNOWN_SERVICE);
    });
  }
}
