/**
 * `node-etcd`, the npm client of etcd's v2 API, which is no dependency: it wants `request`, which nobody maintains, and
 * `deasync`, which builds a native part. It is installed among the other tools the first time that it is asked for.
 */
import type { EventEmitter } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { runProcess } from '../support/process.ts';

const VERSION = '7.0.0';

/** What it uses itself, as of its last release; `deasync` is a folder of ours. */
const MANIFEST = {
  private: true,
  dependencies: {
    'node-etcd': VERSION,
    request: '2.88.2',
    lodash: '4.17.21',
    'url-parse': '1.5.10',
    deasync: 'file:deasync',
  },
};

/** In the place of `deasync`, which turns the event loop within a call: only calls that end in `Sync` want that. */
const DEASYNC = {
  'package.json': JSON.stringify({ name: 'deasync', version: '0.1.30', main: 'index.js' }),
  'index.js': "exports.loopWhile = () => { throw new Error('no synchronous calls here'); };\n",
};

/** The most that installing it may take, in milliseconds. */
const INSTALL_MS = 120_000;

/** A key or a directory. */
export interface V2Node {
  readonly key: string;
  readonly value?: string;
  readonly dir?: boolean;
  readonly ttl?: number;
  readonly modifiedIndex: number;
  readonly nodes?: readonly V2Node[];
}

/** An answer of `/v2/keys`. */
export interface V2Answer {
  readonly action: string;
  readonly node: V2Node;
  readonly prevNode?: V2Node;
}

/** An error of etcd's, by its code, or one of the connection, without. */
export type V2Error = Error & { readonly errorCode?: number };

type Callback = (error: V2Error | null, answer: unknown) => void;
type Options = Readonly<Record<string, string | number | boolean>>;

/** The calls of the client that are made here. */
export interface NodeEtcd {
  set(key: string, value: string, options: Options, callback: Callback): unknown;
  get(key: string, options: Options, callback: Callback): unknown;
  create(dir: string, value: string, options: Options, callback: Callback): unknown;
  del(key: string, options: Options, callback: Callback): unknown;
  mkdir(dir: string, options: Options, callback: Callback): unknown;
  rmdir(dir: string, options: Options, callback: Callback): unknown;
  compareAndSwap(key: string, value: string, old: string, options: Options, callback: Callback): unknown;
  compareAndDelete(key: string, old: string, options: Options, callback: Callback): unknown;
  selfStats(callback: Callback): unknown;
  leaderStats(callback: Callback): unknown;
  version(callback: Callback): unknown;
  watcher(key: string, index: number | null, options: Options): EventEmitter & { stop(): void };
}

/** The client's class, or the reason why it is not here. */
export type Installed = { readonly Etcd: new (hosts: string) => NodeEtcd } | { readonly missing: string };

/** The client; installed where it is not yet, and the registry can be reached. */
export async function nodeEtcd(): Promise<Installed> {
  const folder = join('.cache', 'peers', `node-etcd-${VERSION}`);
  const ready = join(folder, 'ready');
  if (!existsSync(ready)) {
    await mkdir(join(folder, 'deasync'), { recursive: true });
    await writeFile(join(folder, 'package.json'), JSON.stringify(MANIFEST));
    for (const [name, text] of Object.entries(DEASYNC)) await writeFile(join(folder, 'deasync', name), text);
    const reason = await install(folder);
    if (reason !== undefined) return { missing: `node-etcd cannot be installed here: ${reason}` };
    await writeFile(ready, '');
  }
  const load = createRequire(join(process.cwd(), folder, 'package.json'));
  return { Etcd: load('node-etcd') as new (hosts: string) => NodeEtcd };
}

/** Why npm could not install what the folder's manifest says; undefined: it could. */
async function install(folder: string): Promise<string | undefined> {
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--fetch-retries=0', '--fetch-timeout=30000'];
  try {
    const npm = await runProcess('npm', ['install', ...flags, '--prefix', folder], { limitMs: INSTALL_MS });
    return npm.code === 0 ? undefined : (npm.stderr.split('\n')[0] ?? '');
  } catch (error) {
    return String(error);
  }
}

/** What a call comes to. @throws what it fails with, a {@link V2Error} */
export function called<T = V2Answer>(call: (callback: Callback) => unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, answer) => (error === null ? resolve(answer as T) : reject(error)));
  });
}

/** The code of the error that a call fails with; undefined: it does not, or with none of etcd's. */
export function codeOf(call: (callback: Callback) => unknown): Promise<number | undefined> {
  return called(call).then(
    () => undefined,
    (error: V2Error) => error.errorCode,
  );
}
