/** The program as somebody at a command line has it: the launcher, its arguments, its environment. */
import { cp, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Finished,
  type RunningProcess,
  type RunOptions,
  runProcess,
  startProcess,
} from '../../support/process.ts';

/** The project's folder. */
export const root: string = join(import.meta.dirname, '..', '..', '..');

export const launcher: string = join(root, 'bin', 'etcd-connect-proxy');

const clean: NodeJS.ProcessEnv = Object.fromEntries(
  Object.keys(process.env)
    .filter((name) => name.startsWith('ETCD_PROXY_'))
    .map((name) => [name, undefined]),
);

/** Copies what was built to a folder. @returns the launcher there */
export async function copyTo(folder: string): Promise<string> {
  for (const name of ['bin', 'dist', 'package.json'])
    await cp(join(root, name), join(folder, name), { recursive: true });
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  return join(folder, 'bin', 'etcd-connect-proxy');
}

/** Runs the program to its end. */
export function run(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return runProcess(launcher, args, { ...options, env: { ...clean, ...options.env } });
}

/** Starts the program with exactly these arguments. */
export function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<RunningProcess> {
  return startProcess(launcher, args, { env: { ...clean, ...env } });
}

/** A line of its log. */
export interface LogLine {
  readonly level: string;
  readonly ts: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** The lines of its log so far. Throws where one is no JSON. */
export function logOf(stderr: string): LogLine[] {
  const whole = stderr.slice(0, stderr.lastIndexOf('\n') + 1);
  return whole
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as LogLine);
}

/** Waits until it serves, and returns the address that it says it has. */
export async function started(running: RunningProcess): Promise<string> {
  const line = JSON.parse(await running.waitForLine(/"started gRPC proxy"/, 30_000)) as LogLine;
  return String(line.address);
}
