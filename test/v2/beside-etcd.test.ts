/** `/v2` in front of real etcds that still have it: the same as from etcd itself, and as from etcd's own v2 proxy. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atLeast, availableEtcds, type EtcdInstall, startEtcd } from '../support/etcd.ts';
import { noEtcdVariables } from '../support/etcd-member.ts';
import { takePort } from '../support/ports.ts';
import { runProcess, startProcess, tempDir } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { type Asked, ask, begin } from './http.ts';

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const put = (path: string, body: string, method = 'PUT'): [string, Asked] => [
  path,
  { method, headers: FORM, body },
];

/** What is asked, one after the other. `SIDE` is a folder of the side's own. */
const CASES: readonly [path: string, asked?: Asked][] = [
  put('/v2/keys/SIDE/a', 'value=1'),
  put('/v2/keys/SIDE/a', 'value=2&prevExist=false'),
  put('/v2/keys/SIDE/a', 'value=2&prevValue=1'),
  put('/v2/keys/SIDE/dir', 'dir=true'),
  put('/v2/keys/SIDE/queue', 'value=job', 'POST'),
  put('/v2/keys/SIDE/sp%20ace/%C3%A9', 'value=%E2%82%AC'),
  put('/v2/keys/SIDE/ttl', 'value=x&ttl=none'),
  ['/v2/keys/SIDE/a'],
  ['/v2/keys/SIDE/a?quorum=true'],
  ['/v2/keys/SIDE/a', { method: 'HEAD' }],
  ['/v2/keys/SIDE?recursive=true&sorted=true'],
  ['/v2/keys/SIDE/missing'],
  ['/v2/keys/SIDE/a?wait=maybe'],
  ['/v2/keys/SIDE/a', { method: 'PATCH' }],
  ['/v2/keys/SIDE/a', { method: 'DELETE' }],
  ['/v2/keys/SIDE?dir=true', { method: 'DELETE' }],
  ['/v2/keys/SIDE?recursive=true', { method: 'DELETE' }],
  ['/v2/machines'],
  ['/v2/members'],
  ['/v2/members/leader'],
  ['/v2/stats/store', { method: 'PUT' }],
  ['/v2/auth/enable'],
  ['/v2/nothing'],
  ['/v2'],
];

/** What both of etcd's v2 proxies answer themselves. */
const OF_PROXIES: readonly [path: string, asked?: Asked][] = [
  ['/v2/config/local/proxy'],
  ['/v2/config/local/proxy', { method: 'POST' }],
  ['/v2/config/local/proxy?x=y'],
];

/** Volatile: revisions, and the times that are told. */
const steady = (text: string, side: string): string =>
  text
    .replaceAll(side, 'SIDE')
    .replace(/(createdIndex|modifiedIndex|index)(\\*"):\d+/g, '$1$2:N')
    .replace(/queue\/0*\d+/g, 'queue/N');

async function answers(url: string, side: string, cases: typeof CASES): Promise<Record<string, string>> {
  const got: Record<string, string> = {};
  for (const [path, asked] of cases) {
    const { status, text, headers } = await ask(`${url}${path.replace('SIDE', side)}`, asked);
    const { 'content-type': type, allow, 'x-etcd-cluster-id': cluster } = headers;
    got[`${asked?.method ?? 'GET'} ${path} ${asked?.body ?? ''}`] = steady(
      JSON.stringify({ status, text, type, allow, cluster, index: 'x-etcd-index' in headers }),
      side,
    );
  }
  return got;
}

const withV2 = async (): Promise<EtcdInstall[]> =>
  (await availableEtcds()).filter((install) => !atLeast(install, 3, 6));

/** Starts etcd's own proxy, of this release, in front of members. */
async function startOld(install: EtcdInstall, cluster: string, mode: string) {
  const port = await takePort();
  const folder = await tempDir('old-proxy');
  const args = [
    '--proxy',
    mode,
    `--listen-client-urls=http://127.0.0.1:${port}`,
    `--initial-cluster=${cluster}`,
    `--data-dir=${folder}/data`,
  ];
  const running = await startProcess(install.etcd, args, { cwd: folder, env: noEtcdVariables });
  const url = `http://127.0.0.1:${port}`;
  await until('the old proxy serves', async () => {
    const answer = await ask(`${url}/v2/keys`).catch(() => undefined);
    return answer?.status === 200;
  });
  return { url, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() };
}

/** `name=peerURL` of the only member, as it tells it. */
async function clusterOf(url: string): Promise<string> {
  const { text } = await ask(`${url}/v2/members`);
  const [{ name, peerURLs }] = JSON.parse(text).members;
  return `${name}=${peerURLs[0]}`;
}

test('the same as directly, and as through the v2 proxy of etcd', async () => {
  for (const install of await withV2()) {
    await using etcd = await startEtcd({ install, args: ['--enable-v2'] });
    await using old = await startOld(install, await clusterOf(etcd.first.url), 'on');
    await using proxy = await startProxy({ endpoints: etcd.endpoints, flags: ['--proxy=on'] });
    const direct = await answers(etcd.first.url, 'direct', CASES);
    assert.deepEqual(await answers(proxy.url, 'ours', CASES), direct, install.version);
    assert.deepEqual(await answers(old.url, 'old', CASES), direct, install.version);
    const ours = await answers(proxy.url, 'ours', OF_PROXIES);
    const theirs = await answers(old.url, 'old', OF_PROXIES);
    assert.deepEqual(
      JSON.parse(ours['GET /v2/config/local/proxy '] ?? '').text.trim(),
      JSON.parse(theirs['GET /v2/config/local/proxy '] ?? '').text.trim(),
    );
    const [post] = Object.keys(ours).filter((name) => name.startsWith('POST'));
    assert.equal(ours[post as string], theirs[post as string]);
  }
});

test('a read-only one, as that of etcd', async () => {
  for (const install of await withV2()) {
    await using etcd = await startEtcd({ install, args: ['--enable-v2'] });
    await using old = await startOld(install, await clusterOf(etcd.first.url), 'readonly');
    await using proxy = await startProxy({ endpoints: etcd.endpoints, flags: ['-proxy', 'readonly'] });
    await ask(`${etcd.first.url}/v2/keys/both/a`, put('', 'value=1')[1]);
    const cases = CASES.filter(([path]) => !path.includes('config'));
    const ours = await answers(proxy.url, 'both', cases);
    assert.deepEqual(ours, await answers(old.url, 'both', cases), install.version);
    assert.match(ours['GET /v2/keys/SIDE/a '] ?? '', /"status":200/);
    assert.equal(ours['PUT /v2/keys/SIDE/a value=1'], '{"status":501,"text":"","index":false}');
  }
});

test('events come one by one, as soon as they happen', async () => {
  for (const install of await withV2()) {
    await using etcd = await startEtcd({ install, args: ['--enable-v2'] });
    await using proxy = await startProxy({ endpoints: etcd.endpoints });
    const { answer } = await begin(`${proxy.url}/v2/keys/key?wait=true&stream=true`);
    // Its head alone says where the store is, before anything happens.
    assert.match(String(answer.headers['x-etcd-index']), /^\d+$/);
    let told = '';
    answer.setEncoding('utf8').on('data', (part: string) => {
      told += part;
    });
    for (const value of ['one', 'two', 'three']) {
      await ask(`${proxy.url}/v2/keys/key`, put('', `value=${value}`)[1]);
      // The next change is made when this one has been told.
      await until(`${value} is told`, () => told.includes(`"value":"${value}"`));
    }
    answer.destroy();
    const once = ask(`${proxy.url}/v2/keys/key?wait=true&waitIndex=1`);
    assert.match((await once).text, /"action":"set"/);
  }
});

test('curl, over HTTP/1.1 and HTTP/2', async () => {
  const [install] = await withV2();
  await using etcd = await startEtcd(install === undefined ? {} : { install, args: ['--enable-v2'] });
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  const curl = async (...args: string[]): Promise<string> => {
    const { stdout, stderr, code } = await runProcess('curl', ['--silent', '--show-error', ...args]);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  for (const version of ['--http1.1', '--http2', '--http2-prior-knowledge']) {
    const url = `${proxy.url}/v2/keys/curl`;
    assert.match(await curl(version, url, '-XPUT', '-d', 'value=hello'), /"action":"set".*"value":"hello"/);
    assert.match(await curl(version, '-L', url), /"value":"hello"/);
    const large = 'x'.repeat(100_000);
    assert.match(
      await curl(version, url, '-XPUT', '-H', 'Expect: 100-continue', '-d', `value=${large}`),
      /"action":"set"/,
    );
    assert.ok((await curl(version, url)).includes(large));
    assert.match(await curl(version, '-I', url), /^HTTP\/\S+ 200.*x-etcd-index/is);
    const waiting = curl(version, '--no-buffer', `${url}?wait=true`);
    const changes: Promise<unknown>[] = [];
    const change = (): void => void changes.push(curl(url, '-XPUT', '-d', 'value=again').catch(() => {}));
    const timer = setInterval(change, 200);
    const told = await waiting.finally(() => clearInterval(timer));
    assert.match(told, /"value":"again"/);
    // Those that are under way would change the key behind what comes next.
    await Promise.all(changes);
    assert.match(await curl(version, url, '-XDELETE'), /"action":"delete"/);
  }
});
