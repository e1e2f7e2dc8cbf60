/**
 * The etcds that the tests run against. `fetchEtcds` fills the cache from every source this machine can use: a
 * source that cannot be used is skipped with its reason, and only having no etcd at all is an error.
 * `availableEtcds` reads the cache without starting apt or Go, and fills it only where it is empty.
 */
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { getFromDebian } from './debian.ts';
import { buildWithGo, pinnedVersion } from './go.ts';
import {
  cacheDir,
  cachedInstalls,
  compareInstalls,
  type EtcdInstall,
  noteName,
  pathInstall,
  pointedInstall,
  sameLine,
  versionOf,
} from './install.ts';
import { withLock } from './lock.ts';

export type { EtcdInstall } from './install.ts';

/** What became of one release line. */
export interface FetchOutcome {
  /** The release line, such as `3.5`. */
  readonly line: string;
  readonly status: 'got' | 'cached' | 'skipped';
  /** The version and its source, or why it was skipped. */
  readonly detail: string;
}

interface Source {
  readonly name: string;
  /** The exact version wanted, where the source pins one. */
  pinned?(): Promise<string>;
  get(work: string, target: string): Promise<void>;
}

const debian = (suite: string): Source => ({
  name: `Debian ${suite}`,
  get: (work, target) => getFromDebian(suite, work, target),
});

function tool(line: string): Source {
  const module = join(import.meta.dirname, '..', '..', 'test', 'tools', `etcd-${line}`);
  return {
    name: 'built with Go',
    pinned: () => pinnedVersion(module),
    get: (_work, target) => buildWithGo(module, target),
  };
}

const sources: Readonly<Record<string, Source>> = {
  '3.4': debian('bookworm'),
  '3.5': debian('trixie'),
  '3.6': tool('3.6'),
  '3.7': tool('3.7'),
};

/** The release lines that there is a source for. */
export const etcdLines: readonly string[] = Object.keys(sources);

const skippedPath = join(cacheDir, 'skipped.json');
const ofLine = (install: EtcdInstall, line: string): boolean => install.version.startsWith(`${line}.`);

async function cachedFor(line: string, source: Source): Promise<EtcdInstall | undefined> {
  const pinned = await source.pinned?.();
  const cached = (await cachedInstalls()).filter((install) => ofLine(install, line));
  return cached.findLast((install) => pinned === undefined || install.version === pinned);
}

/** Gets one release into the cache; the folder appears there whole, by a rename. */
async function get(line: string, source: Source): Promise<string> {
  await mkdir(cacheDir, { recursive: true });
  const work = await mkdtemp(join(cacheDir, '.work-'));
  try {
    const target = join(work, 'target');
    await mkdir(target);
    await source.get(work, target);
    for (const program of await readdir(target)) await chmod(join(target, program), 0o755);
    const version = await versionOf(join(target, 'etcd'));
    if (!version.startsWith(`${line}.`)) throw new Error(`${source.name} has etcd ${version}, not ${line}`);
    await writeFile(join(target, noteName), JSON.stringify({ version, source: source.name }));
    await rm(join(cacheDir, version), { recursive: true, force: true });
    await rename(target, join(cacheDir, version));
    return version;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function fetchLine(line: string): Promise<FetchOutcome> {
  const source = sources[line];
  if (source === undefined) throw new Error(`no source for etcd ${line}; there is ${etcdLines.join(', ')}`);
  const pointed = await pointedInstall();
  if (pointed !== undefined && ofLine(pointed, line))
    return { line, status: 'cached', detail: `${pointed.version} (${pointed.source})` };
  const cached = await cachedFor(line, source);
  if (cached !== undefined) return { line, status: 'cached', detail: `${cached.version} (${cached.source})` };
  try {
    return { line, status: 'got', detail: `${await get(line, source)} (${source.name})` };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { line, status: 'skipped', detail: `${source.name}: ${reason}` };
  }
}

async function readSkipped(): Promise<Record<string, string>> {
  try {
    return JSON.parse(await readFile(skippedPath, 'utf8')) as Record<string, string>;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
    throw error;
  }
}

async function remember(outcomes: readonly FetchOutcome[]): Promise<void> {
  const reasons = await readSkipped();
  for (const { line, status, detail } of outcomes) {
    if (status === 'skipped') reasons[line] = detail;
    else delete reasons[line];
  }
  const fresh = join(cacheDir, `.skipped-${process.pid}`);
  await mkdir(cacheDir, { recursive: true });
  await writeFile(fresh, JSON.stringify(reasons));
  await rename(fresh, skippedPath);
}

/** The etcds at hand, oldest first, one of each release line: the one of ETCD_BIN, else the cache's newest. */
async function atHand(): Promise<EtcdInstall[]> {
  const all = await cachedInstalls();
  const newest = all.filter((install, at) => !all.slice(at + 1).some((later) => sameLine(install, later)));
  const pointed = await pointedInstall();
  if (pointed !== undefined)
    return [...newest.filter((install) => !sameLine(install, pointed)), pointed].sort(compareInstalls);
  if (newest.length > 0) return newest;
  const onPath = await pathInstall();
  return onPath === undefined ? [] : [onPath];
}

/** Gets every wanted release line (all by default) that is not at hand yet; tells each outcome as it comes. */
export async function fetchEtcds(
  lines: readonly string[] = etcdLines,
  tell: (outcome: FetchOutcome) => void = () => {},
): Promise<FetchOutcome[]> {
  const outcomes = await withLock(join(cacheDir, '.lock'), async () => {
    const done: FetchOutcome[] = [];
    for (const line of lines) {
      const outcome = await fetchLine(line);
      tell(outcome);
      done.push(outcome);
    }
    await remember(done);
    return done;
  });
  if ((await atHand()).length > 0) return outcomes;
  const reasons = outcomes.map(({ line, detail }) => `${line}: ${detail}`);
  throw new Error(
    `no etcd at hand. Set ETCD_BIN and ETCDCTL_BIN, or see to one of these: ${reasons.join(' | ')}`,
  );
}

/** The etcds at hand, oldest first, at most one of each release line. Gets them first where there are none. */
export async function availableEtcds(): Promise<EtcdInstall[]> {
  const found = await atHand();
  if (found.length > 0) return found;
  await fetchEtcds();
  return atHand();
}

/** The newest etcd at hand. */
export async function newestEtcd(): Promise<EtcdInstall> {
  const newest = (await availableEtcds()).at(-1);
  if (newest === undefined) throw new Error('no etcd at hand');
  return newest;
}
