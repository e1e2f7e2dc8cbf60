/**
 * `/health` and `/metrics` are about etcd: taken from the pages of the etcd in use, of old and new releases. Asked
 * beside it, etcd gives the same.
 */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { create, toBinary } from '@bufbuild/protobuf';
import { AlarmRequest_AlarmAction, AlarmRequestSchema, AlarmType } from '#gen/etcdserverpb/maintenance_pb.js';
import { atLeast, type EtcdCluster, newestEtcd, startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { takePort } from '../support/ports.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { startSecureEtcd, toEtcd, usual } from '../tls/support.ts';

const QUERIES = [
  '',
  '?serializable=true',
  '?serializable=maybe',
  '?exclude=NOSPACE',
  '?exclude=CORRUPT',
  '?exclude=NOSPACE&exclude=CORRUPT&serializable=true',
  '?exclude=nospace',
  '?exclude=NOSPACE,CORRUPT',
  '?other=x',
];

interface Page {
  readonly status: number | undefined;
  readonly type: string | undefined;
  readonly sniff: unknown;
  readonly body: string;
}

function get(url: string, path: string, headers: Record<string, string> = {}): Promise<Page> {
  const { promise, resolve, reject } = Promise.withResolvers<Page>();
  const asked = request(`${url}${path}`, { headers, agent: false, timeout: 20_000 }, (response) => {
    let body = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      body += chunk;
    });
    response.on('end', () => {
      const { 'content-type': type, 'x-content-type-options': sniff } = response.headers;
      resolve({ status: response.statusCode, type, sniff, body });
    });
    response.on('error', reject);
  });
  asked.on('timeout', () => asked.destroy(new Error(`${path} was not answered`)));
  asked.on('error', reject);
  asked.end();
  return promise;
}

/** Both give the same page, once etcd has answered the proxy within the second that it has for it. Returns the page. */
async function samePage(proxyUrl: string, etcd: EtcdCluster, path: string): Promise<Page> {
  let pages: readonly Page[] = [];
  await until(
    () => `the same ${path}: ${JSON.stringify(pages)}`,
    async () => {
      pages = [await get(proxyUrl, path), await get(etcd.first.url, path)];
      return isDeepStrictEqual(pages[0], pages[1]);
    },
  );
  return pages[0] as Page;
}

/** Both give the same for every query; returns the plain page. */
async function compareHealth(proxyUrl: string, etcd: EtcdCluster): Promise<Page> {
  const pages: Page[] = [];
  for (const query of QUERIES) pages.push(await samePage(proxyUrl, etcd, `/health${query}`));
  return pages[QUERIES.indexOf('')] as Page;
}

/** Healthy is said within a second or not at all: on a busy machine it is asked again. Returns the page. */
function healthy(url: string, path = '/health'): Promise<Page> {
  return until(`${path} is good`, async () => {
    const page = await get(url, path);
    return page.status === 200 && page;
  });
}

/** Families by name, of a page that is well formed: none twice, and a line feed at the end. */
function familiesOf({ status, type, body }: Page): Set<string> {
  assert.equal(status, 200);
  assert.match(type ?? '', /^text\/plain; version=0\.0\.4/);
  assert.ok(body.endsWith('\n'));
  const names = [...body.matchAll(/^# TYPE (\S+) /gm)].map((match) => match[1] as string);
  assert.equal(new Set(names).size, names.length, 'a family is there twice');
  return new Set(names);
}

for (const install of await outerEtcds()) {
  test(`the pages of etcd ${install.version}`, async () => {
    await using etcd = await startEtcd({ install });
    await using proxy = await startProxy({
      endpoints: [etcd.first.url.replace('http', 'HTTP')],
      flags: ['--metrics-addr=http://127.0.0.1:0', '--dial-timeout=500ms'],
    });
    using client = new RawGrpcClient(etcd.first.address);
    const alarm = async (action: keyof typeof AlarmRequest_AlarmAction, kind: AlarmType): Promise<void> => {
      const all = { action: AlarmRequest_AlarmAction.GET };
      assert.equal(
        (await client.call(ALARM, [toBinary(AlarmRequestSchema, create(AlarmRequestSchema, all))])).code,
        0,
      );
      const wish = create(AlarmRequestSchema, {
        action: AlarmRequest_AlarmAction[action],
        alarm: kind,
        memberID: 1n,
      });
      assert.equal((await client.call(ALARM, [toBinary(AlarmRequestSchema, wish)])).code, 0);
    };

    assert.equal((await compareHealth(proxy.url, etcd)).status, 200);
    for (const kind of [AlarmType.NOSPACE, AlarmType.CORRUPT]) {
      await alarm('ACTIVATE', kind);
      const page = await compareHealth(proxy.url, etcd);
      assert.equal(page.status, 503);
      if (atLeast(install, 3, 5)) assert.match(page.body, new RegExp(`ALARM ${AlarmType[kind]}`));
      await alarm('DEACTIVATE', kind);
    }
    assert.equal((await compareHealth(proxy.url, etcd)).status, 200);

    const own = familiesOf(await get(proxy.url, '/proxy/metrics'));
    assert.ok(own.has('etcd_proxy_http2_connections') && !own.has('etcd_server_has_leader'));
    const etcds = familiesOf(await get(etcd.first.url, '/metrics'));
    const line = proxy.stderr.find((text) => text.includes('listening for metrics')) ?? '{}';
    const besides = `http://${(JSON.parse(line) as { address: string }).address}`;
    const open = 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5';
    for (const url of [proxy.url, besides]) {
      for (const headers of [{}, { accept: open }, { 'accept-encoding': 'gzip' }]) {
        const both = familiesOf(await get(url, '/metrics', headers));
        assert.deepEqual(both, new Set([...etcds, ...own, ...both]), 'all of both');
        assert.equal(both.size, new Set([...etcds, ...own]).size, 'and nothing else');
      }
      assert.match((await get(url, '/metrics')).body, /^etcd_server_has_leader 1$/m);
      await healthy(url);
    }

    await etcd.first.kill();
    const down = await get(proxy.url, '/health');
    assert.equal(down.status, 503);
    assert.match(down.body, /^\{"health":"false","reason":"GET ERROR:/);
    assert.deepEqual(familiesOf(await get(proxy.url, '/metrics')), own);
    assert.ok(!proxy.process.stderr.includes('fault while serving'), proxy.process.stderr);
  });
}

test('over TLS, with the certificate of the proxy, and to users of etcd without a token', async () => {
  const files = await usual();
  await using etcd = await startSecureEtcd(files);
  await using proxy = await startProxy({ endpoints: etcd.urls, flags: toEtcd(files) });
  assert.equal((await healthy(proxy.url)).body, '{"health":"true","reason":""}');
  assert.match((await get(proxy.url, '/metrics')).body, /^etcd_server_has_leader 1$/m);
  assert.equal(await metric(proxy.url, 'etcd_proxy_etcd_pages_total{result="ok"}'), 2);
});

test('over a unix socket, while auth is on', async () => {
  await using etcd = await startEtcd({ unixSocket: true, bcryptCost: 4 });
  for (const args of [
    ['user', 'add', 'root:x'],
    ['user', 'grant-role', 'root', 'root'],
    ['auth', 'enable'],
  ])
    assert.equal((await etcd.etcdctl(args)).code, 0);
  await using proxy = await startProxy({ endpoints: [`unix://${etcd.first.unixSocket}`] });
  await samePage(proxy.url, etcd, '/health');
  assert.match((await get(proxy.url, '/metrics')).body, /^etcd_server_has_leader 1$/m);
});

const newest = await newestEtcd();
test('an etcd whose client port has no pages: the read, and the own families', {
  skip: !atLeast(newest, 3, 6) && 'needs etcd 3.6',
}, async () => {
  const port = await takePort();
  await using etcd = await startEtcd({
    install: newest,
    args: [`--listen-client-http-urls=http://127.0.0.1:${port}`],
  });
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  const unreachable = (): Promise<number> =>
    metric(proxy.url, 'etcd_proxy_etcd_pages_total{result="unreachable"}');
  const health = await healthy(proxy.url, '/health?exclude=NOSPACE');
  assert.equal(health.body, '{"health":"true","reason":""}');
  const before = await unreachable();
  assert.ok(before > 0);
  const families = familiesOf(await get(proxy.url, '/metrics'));
  assert.ok(families.has('etcd_proxy_http2_connections') && !families.has('etcd_server_has_leader'));
  assert.equal(await unreachable(), before + 1);
});

test('after a fail-over the pages are those of the etcd then in use', async () => {
  await using etcd = await startEtcd({ members: 3 });
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  const server = async (url: string): Promise<string | undefined> =>
    /^etcd_server_id\{server_id="(\w+)"\} 1$/m.exec((await get(url, '/metrics')).body)?.[1];
  const ids = await Promise.all(etcd.urls.map(server));
  const first = await until('a page of etcd', () => server(proxy.url));
  await etcd.member(ids.indexOf(first)).kill();
  await until('the page of another member', async () => {
    const now = await server(proxy.url);
    return now !== undefined && now !== first && ids.includes(now);
  });
  await until('health', async () => (await get(proxy.url, '/health')).status === 200);
});

test('an etcd that answers nothing is not healthy after a second', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  await healthy(proxy.url);
  const timeouts = (): Promise<number> =>
    metric(proxy.url, 'etcd_proxy_etcd_pages_total{result="timeout"}').catch(() => 0);
  const before = await timeouts();
  const began = performance.now();
  etcd.first.pause();
  const pages = await Promise.all(Array.from({ length: 50 }, () => get(proxy.url, '/health')));
  etcd.first.resume();
  for (const page of pages) {
    assert.equal(page.status, 503);
    assert.equal(page.body, '{"health":"false","reason":"GET ERROR:context deadline exceeded"}\n');
  }
  // A request that comes after the first second, from a busy machine, is one for the next fetch.
  const atMost = Math.floor((performance.now() - began) / 1000);
  const fetches = (await timeouts()) - before;
  assert.ok(fetches >= 1 && fetches <= Math.max(1, atMost), `${fetches} fetches for all`);
});

const ALARM = '/etcdserverpb.Maintenance/Alarm';
