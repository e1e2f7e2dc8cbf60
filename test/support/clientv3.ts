/** etcd's own Go client, in the program of `test/tools/clientv3-probe`, where Go is there to build it. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { type Finished, type RunningProcess, runProcess, startProcess } from './process.ts';

const SOURCE = join(import.meta.dirname, '..', 'tools', 'clientv3-probe');
const BINARY = resolve('.cache/bin/clientv3-probe');
const PATH = [process.env.PATH ?? '', '/usr/local/go/bin'].join(delimiter);

/** What the program prints when everything went well. */
export const ALL_WELL = 'kv\nwatch\nlease\nlock\n';

/** Why the program cannot be run at all; false where it can, if it can be built. */
export const noGo: string | false = PATH.split(delimiter).some((folder) => existsSync(join(folder, 'go')))
  ? false
  : 'Go, which would build the program, is not installed';

/** Builds the program; what went wrong, if something did (the modules are not at hand, for one). */
export async function buildProbe(): Promise<string | undefined> {
  await mkdir(resolve('.cache/bin'), { recursive: true });
  const options = { cwd: SOURCE, env: { PATH, CGO_ENABLED: '0' }, limitMs: 280_000 };
  const { code, stderr } = await runProcess('go', ['build', '-o', BINARY, '.'], options);
  return code === 0 ? undefined : `the program cannot be built: ${stderr.slice(-500)}`;
}

/** Runs the program against a URL, over TLS with the flags `-cert`, `-key` and `-cacert`. */
export function runProbe(url: string, ...flags: string[]): Promise<Finished> {
  return runProcess(BINARY, [`-endpoint=${url}`, ...flags], { limitMs: 120_000 });
}

/** Starts it with a lock that it holds for so long: it prints `holding`, and `held` at the end. */
export function startHolding(urls: readonly string[], span: string): Promise<RunningProcess> {
  return startProcess(BINARY, [`-endpoint=${urls.join(',')}`, `-hold=${span}`]);
}

/** Starts it as a user that watches a prefix: it prints `watching`, then each event as `event <key> <value>`. */
export function startWatching(url: string, user: string, prefix: string): Promise<RunningProcess> {
  return startProcess(BINARY, [`-endpoint=${url}`, `-user=${user}`, `-watch=${prefix}`]);
}
