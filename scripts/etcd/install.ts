/**
 * What an etcd at hand is: the paths of one release's programs and its version. Here is also where they are
 * found: in the project's git-ignored cache (one folder per version, each with a small note of its version, so
 * that reading it starts no program), where ETCD_BIN and ETCDCTL_BIN point, or on PATH.
 */
import { access, constants, readdir, readFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { run } from './run.ts';

/** One etcd release at hand. */
export interface EtcdInstall {
  /** The full version, such as `3.5.16`. */
  readonly version: string;
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** The server's path. */
  readonly etcd: string;
  /** The path of etcdctl of the same release, where there is one. */
  readonly etcdctl?: string;
  /** The path of etcdutl of the same release, where there is one (3.5 and newer). */
  readonly etcdutl?: string;
  /** Where it came from, in words. */
  readonly source: string;
}

/** What is written into a cached version's folder. */
export interface InstallNote {
  readonly version: string;
  readonly source: string;
}

/** The name of the note in a cached version's folder. */
export const noteName = 'install.json';

/** The cache's folder, one sub-folder per version. */
export const cacheDir = join(import.meta.dirname, '..', '..', '.cache', 'etcd');

/** Orders two installs by version, older first. */
export function compareInstalls(a: EtcdInstall, b: EtcdInstall): number {
  return a.major - b.major || a.minor - b.minor || a.patch - b.patch;
}

/** Whether two installs are of the same release line, such as 3.5. */
export function sameLine(a: EtcdInstall, b: EtcdInstall): boolean {
  return a.major === b.major && a.minor === b.minor;
}

async function executable(path: string): Promise<string | undefined> {
  try {
    await access(path, constants.X_OK);
    return path;
  } catch {
    return undefined; // not there, which is an answer and no error
  }
}

/** The version an etcd program says it has. */
export async function versionOf(etcd: string): Promise<string> {
  const output = await run(etcd, ['--version'], { limitMs: 30_000 });
  const version = /etcd Version: (\S+)/.exec(output)?.[1];
  if (version === undefined) throw new Error(`${etcd} --version does not name a version of etcd`);
  return version;
}

/** Describes the release whose programs are given; the other programs are looked for beside the server. */
async function describeInstall(note: InstallNote, etcd: string, ctl?: string): Promise<EtcdInstall> {
  const numbers = /^(\d+)\.(\d+)\.(\d+)/.exec(note.version);
  if (numbers === null) throw new Error(`${etcd}: ${note.version} is not a version of etcd`);
  const etcdctl = await executable(ctl ?? join(dirname(etcd), 'etcdctl'));
  const etcdutl = await executable(join(dirname(etcd), 'etcdutl'));
  return {
    ...note,
    major: Number(numbers[1]),
    minor: Number(numbers[2]),
    patch: Number(numbers[3]),
    etcd,
    ...(etcdctl === undefined ? {} : { etcdctl }),
    ...(etcdutl === undefined ? {} : { etcdutl }),
  };
}

function isNote(value: unknown): value is InstallNote {
  if (typeof value !== 'object' || value === null) return false;
  return 'version' in value && typeof value.version === 'string' && 'source' in value;
}

async function readCached(name: string): Promise<EtcdInstall | undefined> {
  const etcd = await executable(join(cacheDir, name, 'etcd'));
  if (etcd === undefined) return undefined;
  const note: unknown = JSON.parse(await readFile(join(cacheDir, name, noteName), 'utf8'));
  if (!isNote(note)) throw new Error(`${join(cacheDir, name, noteName)} is broken: delete that folder`);
  return describeInstall({ version: note.version, source: note.source }, etcd);
}

/** Everything in the cache, oldest first. */
export async function cachedInstalls(): Promise<EtcdInstall[]> {
  const names = await readdir(cacheDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const read = names.filter((name) => /^\d/.test(name)).map(readCached);
  const found = (await Promise.all(read)).filter((install) => install !== undefined);
  return found.sort(compareInstalls);
}

/** The etcd that ETCD_BIN (and ETCDCTL_BIN) point to; an error where ETCD_BIN is set to something else. */
export async function pointedInstall(env: NodeJS.ProcessEnv = process.env): Promise<EtcdInstall | undefined> {
  const etcd = env.ETCD_BIN;
  if (etcd === undefined || etcd === '') return undefined;
  const ctl = env.ETCDCTL_BIN === '' ? undefined : env.ETCDCTL_BIN;
  for (const path of [etcd, ctl]) {
    if (path !== undefined && (await executable(path)) === undefined)
      throw new Error(`ETCD_BIN or ETCDCTL_BIN: ${path} is no program`);
  }
  return describeInstall({ version: await versionOf(etcd), source: 'ETCD_BIN' }, etcd, ctl);
}

/** The etcd found on PATH. */
export async function pathInstall(env: NodeJS.ProcessEnv = process.env): Promise<EtcdInstall | undefined> {
  const find = async (name: string): Promise<string | undefined> => {
    for (const folder of (env.PATH ?? '').split(delimiter)) {
      const path = folder === '' ? undefined : await executable(join(folder, name));
      if (path !== undefined) return path;
    }
    return undefined;
  };
  const etcd = await find('etcd');
  if (etcd === undefined) return undefined;
  const note = { version: await versionOf(etcd), source: 'PATH' };
  return describeInstall(note, etcd, await find('etcdctl'));
}
