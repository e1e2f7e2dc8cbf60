/** Every command line of the documents that describe the proxy runs as it is written there, in their order. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { chmod, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { atLeast, availableEtcds, type EtcdInstall, newestEtcd } from '../support/etcd.ts';
import { noEtcdVariables } from '../support/etcd-member.ts';
import { type RunningProcess, runProcess, startProcess, tempDir } from '../support/process.ts';
import { until } from '../support/until.ts';
import { Authority } from '../tls/pki.ts';
import { commandsOf, DISCOVERY, HERE, HOSTS_FILE, MEMBERS, mapped } from './commands.ts';
import { ask } from './http.ts';

const LOOKUP = pathToFileURL('test/failing/lookup.mjs').href;
const PROGRAM = join(import.meta.dirname, '..', '..', 'bin', 'etcd-connect-proxy');
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const setTo = (value: string | number) => ({ method: 'PUT', headers: FORM, body: `value=${value}` });

let folder: string;
let authority: Authority;
let env: NodeJS.ProcessEnv;
const running: RunningProcess[] = [];

before(async () => {
  folder = await tempDir('seeds');
  authority = await Authority.create();
  const names = ['localhost', HERE, DISCOVERY.host];
  for (const name of ['peer', 'client', 'proxy-server', 'proxy-client']) {
    const { cert, key } = await authority.issue(name, { hosts: names });
    await copyFile(cert, join(folder, `${name}.crt`));
    await copyFile(key, join(folder, `${name}.key`));
  }
  for (const name of ['ca.crt', 'ca.pem', 'proxy-ca.pem']) await copyFile(authority.cert, join(folder, name));
  await writeFile(join(folder, 'hosts'), HOSTS_FILE);
  const newest = await newestEtcd();
  const bin = join(folder, 'bin');
  await mkdir(bin);
  const programs = { 'etcd-connect-proxy': PROGRAM, etcd: newest.etcd, etcdctl: newest.etcdctl };
  for (const [name, path] of Object.entries(programs)) {
    const file = join(bin, name);
    // What is meant for one of them is no setting of the others.
    const own = name === 'etcd-connect-proxy' ? `NODE_OPTIONS=--import=${LOOKUP} ` : '';
    await writeFile(file, `#!/bin/sh\n${own}exec ${path} "$@"\n`);
    await chmod(file, 0o755);
  }
  env = {
    ...noEtcdVariables,
    PATH: `${bin}:${process.env.PATH}`,
    TEST_HOSTS: join(folder, 'hosts'),
    SSL_CERT_FILE: authority.cert,
  };
});

after(async () => {
  await stopAll();
});

async function stopAll(): Promise<void> {
  await Promise.all(running.splice(0).map((process) => process.stop()));
}

/** Runs a line that starts something, which is there when it has said so. */
async function start(
  line: string,
  says = /"started gRPC proxy"/,
  more: NodeJS.ProcessEnv = {},
): Promise<RunningProcess> {
  const process = await startProcess('sh', ['-c', `${line}\nwait`], {
    cwd: folder,
    env: { ...env, ...more },
  });
  running.push(process);
  await process.waitForLine(says, 30_000);
  return process;
}

/** Runs a line that ends. */
async function run(line: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return runProcess('sh', ['-c', line], { cwd: folder, env, limitMs: 60_000 });
}

async function says(line: string, wanted: RegExp): Promise<void> {
  const { code, stdout, stderr } = await run(line);
  assert.equal(code, 0, `${line}\n${stderr}`);
  assert.match(stdout, wanted, line);
}

/** The cluster of the documents. */
async function startMembers(install: EtcdInstall, flags: readonly string[]): Promise<void> {
  const all = MEMBERS.map(({ name, address }) => `${name}=http://${address}:2380`).join(',');
  for (const { name, address } of MEMBERS) {
    const args = [
      `--name=${name}`,
      `--data-dir=${folder}/${name}-${install.version}`,
      ...[`--listen-client-urls=http://${address}:2379`, `--advertise-client-urls=http://${address}:2379`],
      ...[
        `--listen-peer-urls=http://${address}:2380`,
        `--initial-advertise-peer-urls=http://${address}:2380`,
      ],
      ...[`--initial-cluster=${all}`, ...flags],
    ];
    running.push(await startProcess(install.etcd, args, { cwd: folder, env: noEtcdVariables }));
  }
  await until('the members serve', async () => {
    const page = await ask(`http://${MEMBERS[0]?.address}:2379/health`).catch(() => undefined);
    return page?.status === 200;
  });
}

const withV2 = async (): Promise<EtcdInstall | undefined> =>
  (await availableEtcds()).findLast((install) => !atLeast(install, 3, 6));

test('proxy.md: with a static configuration, and with the discovery service', async (t) => {
  const install = await withV2();
  if (install === undefined) return t.skip('no etcd with the v2 API is at hand');
  const [fixed, discovered] = commandsOf('v2-proxy') as [string, string];
  await startMembers(install, ['--enable-v2']);
  const url = `http://${HERE}:8080/v2/keys/seed`;
  const works = async (value: string): Promise<void> => {
    await until('the proxy forwards', async () =>
      [200, 201].includes((await ask(url, setTo(value)).catch(() => undefined))?.status ?? 0),
    );
    assert.match((await ask(url)).text, new RegExp(`"value":"${value}"`));
    await says(mapped(`etcdctl --endpoints=127.0.0.1:8080 put seed ${value}`), /^OK$/m);
  };
  const first = await start(fixed);
  await works('fixed');
  await first.stop();

  // The public service is a front of an etcd: its paths are keys.
  const keys = `http://${MEMBERS[0]?.address}:2379/v2/keys/discovery`;
  const token = '3e86b59982e49066c5d813af1c2e2579cbf573de';
  const pair = await authority.issue('discovery', { hosts: [DISCOVERY.host] });
  const service = createServer(
    { cert: readFileSync(pair.cert), key: readFileSync(pair.key) },
    (asked, answer) => {
      const forwarded = request(`${keys}${asked.url}`, { agent: false }, (got) => {
        answer.writeHead(got.statusCode ?? 500, got.headers);
        got.pipe(answer);
      });
      forwarded.on('error', () => answer.destroy());
      answer.once('close', () => forwarded.destroy());
      forwarded.end();
    },
  );
  await new Promise<void>((listening) => service.listen(DISCOVERY.port, DISCOVERY.address, listening));
  try {
    await ask(`${keys}/${token}/_config/size`, setTo(MEMBERS.length));
    const second = await start(discovered, undefined, { ETCD_PROXY_DATA_DIR: join(folder, 'discovered') });
    for (const [i, { name, address }] of MEMBERS.entries()) {
      // Until the last one has registered there is nobody to ask.
      assert.equal((await ask(url)).status, 503);
      await ask(`${keys}/${token}/${i}`, setTo(`${name}=http://${address}:2380`));
    }
    await works('discovered');
    await second.stop();
    const spare = await run(
      `${discovered.replace('-proxy on ', '')} -data-dir ${folder}/spare -discovery-fallback exit`,
    );
    assert.equal(spare.code, 1, spare.stderr);
    assert.match(spare.stderr, /discovery: cluster is full/);
  } finally {
    service.close();
    service.closeAllConnections();
    await stopAll();
  }
});

test('grpc-proxy.md', async () => {
  const lines = commandsOf('grpc-proxy');
  const next = (): string => lines.shift() ?? assert.fail('fewer lines than expected');
  await startMembers(await newestEtcd(), []);
  await start(next());
  await says(next(), /^OK$/m);
  await says(next(), /^foo\nbar$/m);
  await stopAll();

  const plain = mapped(
    'etcd --listen-client-urls http://localhost:2379 --advertise-client-urls http://localhost:2379',
  );
  const peers = (name: string) => ({
    ETCD_DATA_DIR: join(folder, name),
    ETCD_LISTEN_PEER_URLS: `http://${HERE}:2380`,
    ETCD_INITIAL_ADVERTISE_PEER_URLS: `http://${HERE}:2380`,
    ETCD_INITIAL_CLUSTER: `default=http://${HERE}:2380`,
  });
  await start(plain, /serving client traffic|ready to serve/, peers('plain'));
  const registered = [await start(next()), await start(next())];
  const list = next();
  // Newer releases draw tables with other characters.
  const shows = (port: number): RegExp =>
    new RegExp(`[│|] +0 [│|] started [│|][^│|]+[│|] +[│|] ${HERE.replaceAll('.', '\\.')}:${port} [│|]`);
  let seen = '';
  await until(
    () => `both are in the list: ${seen}`,
    async () => {
      const { stdout, stderr } = await run(list);
      seen = `${stdout}${stderr}`;
      return shows(23790).test(stdout) && shows(23791).test(stdout);
    },
  );
  const alone = await start(next());
  const { stdout: own } = await run(next());
  assert.match(own, shows(23792));
  assert.doesNotMatch(own, shows(23790));
  await Promise.all([...registered, alone].map((process) => process.stop()));

  const within = await start(next());
  await says(next(), /^OK$/m);
  await says(next(), /^my-key\nabc$/m);
  await says(next(), /^my-prefix\/my-key\nabc$/m);
  await within.stop();
  await stopAll();

  await start(next(), /serving client traffic|ready to serve/, peers('secure'));
  assert.notEqual((await run(next())).code, 0);
  await says(next(), /2379/);
  await start(next());
  await says(next(), /^OK$/m);
  await start(next());
  // The page is served, without what etcd has, before the proxy is connected.
  const page = next();
  await until('the families of etcd', async () =>
    /^etcd_server_has_leader 1$/m.test((await run(page)).stdout),
  );
  await says(
    `curl --cacert proxy-ca.pem --key proxy-client.key --cert proxy-client.crt https://${HERE}:4443/health`,
    /"health":"true"/,
  );
  assert.deepEqual(lines, []);
  await stopAll();
});
