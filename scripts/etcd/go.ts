/**
 * Builds etcd from its published modules where Go is installed. Which release is built stands in the go.mod of
 * a small tool module of the project, and go.sum there pins every byte of what is compiled.
 */
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { MissingProgram, run } from './run.ts';

const server = 'go.etcd.io/etcd/server/v3';
const others = ['go.etcd.io/etcd/etcdctl/v3', 'go.etcd.io/etcd/etcdutl/v3'];
const limitMs = 1_500_000;

/** The version of etcd that a tool module pins. */
export async function pinnedVersion(module: string): Promise<string> {
  const text = await readFile(join(module, 'go.mod'), 'utf8');
  const version = new RegExp(`^\\s*(?:require\\s+)?${server} v(\\S+)`, 'm').exec(text)?.[1];
  if (version === undefined) throw new Error(`${module}/go.mod requires no ${server}`);
  return version;
}

/** Builds the programs that a tool module pins into `target`. */
export async function buildWithGo(module: string, target: string): Promise<void> {
  const env = { ...process.env, CGO_ENABLED: '0', GOWORK: 'off' };
  try {
    await run('go', ['version'], { limitMs: 30_000, env });
  } catch (error) {
    if (error instanceof MissingProgram) throw new Error('Go is not installed', { cause: error });
    throw error;
  }
  const args = ['build', '-trimpath', '-ldflags=-s -w', '-o', `${target}/`, server, ...others];
  await run('go', args, { cwd: module, env, limitMs });
  await rename(join(target, 'server'), join(target, 'etcd'));
}
