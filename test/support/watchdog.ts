/**
 * Whatever ends a test process (its own end, a crash, a signal, even SIGKILL), nothing of it stays: a small
 * shell in a session of its own, the watchdog, holds a pipe from the test process, and when that closes it
 * kills the process groups it was told of and removes the test's temporary folder. A program begins only after
 * the watchdog was told of it, so there is no gap in between. What a program has started in a group of its own, as a
 * browser is, may write to the folder for some seconds more. It needs nothing but a POSIX shell.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const watchdogScript = `
trap '' HUP INT TERM
groups=
while read -r word group; do
  case $word in
    guard) groups="$groups $group" ;;
    forget) left=; for g in $groups; do [ "$g" = "$group" ] || left="$left $g"; done; groups=$left ;;
  esac
done
for g in $groups; do kill -s KILL -- "-$g"; done
tries=0
while [ $tries -lt 50 ]; do rm -rf -- "$1"; [ -e "$1" ] || exit 0; tries=$((tries + 1)); sleep 0.2; done`;

/** Waits for the word of the test process, then becomes the program; ends where that process is gone. */
const guardedStart = 'read -r go <&3 || exit 125; exec 3<&-; exec "$@"';

interface Watchdog {
  /** The folder that goes with the test process. */
  readonly folder: string;
  readonly pipe: Socket;
}

const groups = new Set<number>();
let watchdog: Watchdog | undefined;

/** Sends a signal to a process group; false where there is none any more. */
export function signalGroup(group: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(-group, signal);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    throw error;
  }
}

/** A test file outlives a killed test runner, which nothing else would end. */
function endWithRunner(): void {
  const runner = process.ppid;
  if (process.env.NODE_TEST_CONTEXT === undefined) return;
  setInterval(() => process.ppid === runner || process.exit(1), 500).unref();
}

function startWatchdog(): Watchdog {
  const folder = mkdtempSync(join(tmpdir(), 'etcd-proxy-'));
  const args = ['-c', watchdogScript, 'watchdog', folder];
  const child = spawn('/bin/sh', args, { cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  const pipe = child.stdin as Socket;
  child.unref();
  pipe.unref();
  pipe.on('error', () => {}); // without the watchdog there is still what is done below at the end
  process.once('exit', () => {
    for (const group of groups) signalGroup(group, 'SIGKILL');
  });
  endWithRunner();
  return { folder, pipe };
}

function guard(): Watchdog {
  watchdog ??= startWatchdog();
  return watchdog;
}

function tell(word: 'guard' | 'forget', group: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  guard().pipe.write(`${word} ${group}\n`, () => resolve());
  return promise;
}

/** A fresh folder whose name begins with `key`; it goes when this process does. */
export function tempDir(key: string): Promise<string> {
  return mkdtemp(join(guard().folder, `${key}-`));
}

/** Starts a program in a process group of its own that ends with this process; `stdio` is piped by default. */
export async function spawnGuarded(
  program: string,
  args: readonly string[],
  options: Pick<SpawnOptions, 'cwd' | 'env'> & { readonly stdio?: 'pipe' | 'inherit' },
): Promise<ChildProcess> {
  guard();
  const stdio = options.stdio ?? 'pipe';
  const child = spawn('/bin/sh', ['-c', guardedStart, 'sh', program, ...args], {
    ...options,
    detached: true,
    stdio: [stdio, stdio, stdio, 'pipe'],
  });
  const group = child.pid;
  if (group === undefined) {
    const [error] = await once(child, 'error');
    throw error;
  }
  groups.add(group);
  child.once('exit', () => {
    groups.delete(group);
    void tell('forget', group);
  });
  child.unref();
  for (const stream of child.stdio) (stream as Socket | null)?.unref();
  await tell('guard', group);
  (child.stdio[3] as Socket).end('go\n');
  return child;
}

/**
 * Runs a program to its end on this process's own input and output, such as one step of a longer run: however
 * this process is interrupted, the program ends with it.
 */
export async function runGuarded(
  program: string,
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }> {
  const child = await spawnGuarded(program, args, { stdio: 'inherit' });
  child.ref();
  const [code, signal] = await once(child, 'exit');
  return { code, signal };
}
