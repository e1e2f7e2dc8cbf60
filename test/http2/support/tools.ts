/** External programs used as peers: found on the path or in `.cache/bin`, skipped with a message where missing. */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { promisify } from 'node:util';

const BIN = resolve('.cache/bin');

/** Why a test with this program is skipped; false when it can run. */
export function missing(program: string): string | false {
  return locate(program) === undefined ? `${program} is not installed` : false;
}

/** Runs a program and gives its output, standard and error together. */
export async function run(program: string, ...args: string[]): Promise<string> {
  const path = locate(program);
  if (path === undefined) throw new Error(`${program} is not installed`);
  const { stdout, stderr } = await promisify(execFile)(path, args, { maxBuffer: 64 << 20, timeout: 120_000 });
  return stdout + stderr;
}

/** Builds h2spec into `.cache/bin` where Go is installed; the reason why not otherwise. */
export function installH2spec(): string | false {
  if (locate('h2spec') !== undefined) return false;
  if (locate('go') === undefined) return 'h2spec is missing, and Go, which would build it, is not installed';
  mkdirSync(BIN, { recursive: true });
  const target = 'github.com/summerwind/h2spec/cmd/h2spec@latest';
  const build = spawnSync('go', ['install', target], {
    env: { ...process.env, GOBIN: BIN },
    timeout: 300_000,
  });
  return build.status === 0 ? false : `h2spec could not be built: ${build.stderr}`;
}

/** Builds the peer in `go-peer` into `.cache/bin`, and gives its path. */
export async function buildGoPeer(): Promise<string> {
  mkdirSync(BIN, { recursive: true });
  const target = join(BIN, 'http2-go-peer');
  await run('go', 'build', '-o', target, join(import.meta.dirname, 'go-peer', 'main.go'));
  return target;
}

function locate(program: string): string | undefined {
  if (isAbsolute(program)) return program;
  const folders = [BIN, ...(process.env.PATH ?? '').split(':'), '/usr/local/go/bin'];
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
}
