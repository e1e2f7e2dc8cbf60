/**
 * Gets etcd from a Debian suite without being root and without a change to the system: apt runs on a state of
 * its own in a temporary folder, asks the mirror that this machine's own configuration names, checks the
 * suite's signature with the system's keyring, and the packages are only unpacked, not installed.
 */
import { access, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './run.ts';

const packages = ['etcd-server', 'etcd-client'];
const programs = ['etcd', 'etcdctl', 'etcdutl'];
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
const limitMs = 300_000;

/** The mirrors that this machine gets its own packages from, most likely first. */
async function mirrors(): Promise<string[]> {
  const format = '$(CREATED_BY) $(COMPONENT) $(RELEASE) $(REPO_URI)';
  // without release information also a machine that never ran apt-get update answers
  const args = ['indextargets', '--no-release-info', '--format', format];
  const output = await run('apt-get', args, { limitMs });
  const found = output.split('\n').flatMap((line) => {
    const [kind, component, release, uri] = line.split(' ');
    const whole = kind === 'Packages' && component === 'main' && uri !== undefined;
    return whole && !/-(security|updates|backports)|\//.test(release ?? '') ? [uri] : [];
  });
  if (found.length === 0) throw new Error('no mirror in the configuration of apt');
  return [...new Set(found)];
}

/** The machine's own settings of how apt reaches mirrors (proxies and the like), without its hooks. */
async function acquireSettings(): Promise<string> {
  const dump = await run('apt-config', ['dump'], { limitMs });
  const lines = dump.split('\n');
  return lines.filter((line) => /^Acquire::(?!IndexTargets|Languages)/.test(line)).join('\n');
}

async function present(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Writes a private configuration of apt for one suite of one mirror; returns the environment that selects it. */
async function configure(work: string, mirror: string, suite: string): Promise<NodeJS.ProcessEnv> {
  for (const folder of ['state/lists/partial', 'cache/archives/partial', 'none'])
    await mkdir(join(work, folder), { recursive: true });
  const signedBy = (await present(keyring)) ? `[signed-by=${keyring}] ` : '';
  await writeFile(join(work, 'sources.list'), `deb ${signedBy}${mirror} ${suite} main\n`);
  await writeFile(join(work, 'status'), '');
  const settings: Record<string, string> = {
    'Dir::State': join(work, 'state'),
    'Dir::State::status': join(work, 'status'),
    'Dir::Cache': join(work, 'cache'),
    'Dir::Etc::main': join(work, 'none', 'apt.conf'),
    'Dir::Etc::parts': join(work, 'none'),
    'Dir::Etc::sourcelist': join(work, 'sources.list'),
    'Dir::Etc::sourceparts': join(work, 'none'),
    'Dir::Etc::preferences': join(work, 'none', 'preferences'),
    'Dir::Etc::preferencesparts': join(work, 'none'),
    'Acquire::Languages': 'none',
    'APT::Sandbox::User': 'root',
  };
  const own = Object.entries(settings).map(([key, value]) => `${key} "${value}";`);
  await writeFile(join(work, 'apt.conf'), `${await acquireSettings()}\n${own.join('\n')}\n`);
  return { ...process.env, LC_ALL: 'C', APT_CONFIG: join(work, 'apt.conf') };
}

async function update(work: string, suite: string): Promise<NodeJS.ProcessEnv> {
  const failures: string[] = [];
  for (const mirror of await mirrors()) {
    try {
      const env = await configure(work, mirror, suite);
      await run('apt-get', ['update', '--error-on=any'], { cwd: work, env, limitMs });
      return env;
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(`apt-get update: ${failures.join('; ')}`);
}

/** Puts the programs of a suite's etcd packages into `target`, working in the folder `work`. */
export async function getFromDebian(suite: string, work: string, target: string): Promise<void> {
  const env = await update(work, suite);
  await run('apt-get', ['download', ...packages], { cwd: work, env, limitMs });
  await run('sh', ['-c', 'for deb in *.deb; do dpkg -x "$deb" unpacked || exit 1; done'], {
    cwd: work,
    limitMs,
  });
  for (const program of programs) {
    const path = join(work, 'unpacked', 'usr', 'bin', program);
    if (await present(path)) await copyFile(path, join(target, program));
  }
}
