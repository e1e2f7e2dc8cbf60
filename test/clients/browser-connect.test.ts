/**
 * Connect's own client for browsers in a real one: both of its transports, over HTTP/1.1 and over HTTP/2 with TLS, from a page of
 * another origin.
 */
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { build } from 'esbuild';
import type { BrowserContext, Page } from 'playwright-core';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { LONG } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { Authority } from '../tls/pki.ts';
import { noChromium, startChromium } from './browser/chromium.ts';

/** How long a page watches, and how often it writes. */
const [WATCH_MS, EVERY_MS] = LONG ? [180_000, 5000] : [2000, 400];

const PROTOCOLS = ['connect', 'grpc-web'] as const;

/** The page's script, with all that it imports. */
async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, 'browser', 'connect-page.ts')],
    bundle: true,
    write: false,
    format: 'iife',
    platform: 'browser',
  });
  return outputFiles[0]?.text ?? '';
}

async function serveSite(): Promise<{ server: Server; origin: string }> {
  const script = await bundle();
  const server = createServer((request, response) => {
    const isScript = request.url === '/page.js';
    response.setHeader('content-type', isScript ? 'text/javascript; charset=utf-8' : 'text/html');
    response.end(isScript ? script : '<!doctype html><title>site</title><script src="/page.js"></script>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return { server, origin: `http://127.0.0.1:${port}` };
}

/** A way to the proxy. */
interface Way {
  readonly name: string;
  readonly protocol: string;
  url: string;
}

describe("Connect's client in a browser", { skip: noChromium() }, () => {
  const ways: readonly Way[] = [
    { name: 'HTTP/1.1', protocol: 'HTTP/1.1', url: '' },
    { name: 'HTTP/2 with TLS', protocol: 'HTTP/2.0', url: '' },
  ];
  const proxies: RunningProxy[] = [];
  let etcd: EtcdCluster;
  let site: { server: Server; origin: string };
  let browser: BrowserContext;
  let page: Page;
  before(async () => {
    const authority = await Authority.create();
    const { cert, key } = await authority.issue('server', { hosts: ['127.0.0.1'] });
    [etcd, site, browser] = await Promise.all([
      startEtcd(),
      serveSite(),
      startChromium(['--ignore-certificate-errors']),
    ]);
    const { endpoints } = etcd;
    const cors = `--cors-allowed-origins=${site.origin}`;
    const [plain, tls] = ways as [Way, Way];
    for (const more of [[], [`--cert-file=${cert}`, `--key-file=${key}`]])
      proxies.push(await startProxy({ endpoints, flags: [cors, ...more] }));
    plain.url = proxies[0]?.url ?? '';
    tls.url = proxies[1]?.url.replace('http:', 'https:') ?? '';
    page = await browser.newPage();
    await page.goto(site.origin);
  });
  after(async () => {
    await browser?.close();
    site?.server.close();
    for (const proxy of proxies) await proxy.stop();
    await etcd?.stop();
  });

  const run = (flow: string, ...args: readonly unknown[]): Promise<unknown> =>
    page.evaluate(`connectPage.${flow}(...${JSON.stringify(args)})`);

  for (const way of ways)
    for (const protocol of PROTOCOLS) {
      test(`${protocol} over ${way.name}: unary calls, errors, a watch, giving it up`, async () => {
        const versions = new Set<string>();
        page.on('response', (response) => {
          if (response.url().startsWith(way.url))
            void response.httpVersion().then(
              (version) => versions.add(version),
              () => {},
            );
        });
        assert.deepEqual(await run('unary', protocol, way.url, `unary/${protocol}`), {
          same: true,
          beat: 60,
          errors: [
            'InvalidArgument: etcdserver: key is not provided',
            'NotFound: etcdserver: requested lease not found',
            'OutOfRange: etcdserver: mvcc: required revision is a future revision',
          ],
        });
        const name = `watch/${protocol}/${way.name}`;
        const { ended, ...seen } = (await run(
          ...(['watch', protocol, way.url, name, WATCH_MS, EVERY_MS] as const),
        )) as Record<string, unknown>;
        assert.deepEqual(seen, { created: 1, all: true });
        assert.match(String(ended), /^Canceled: /);
        await until('the version', () => versions.size > 0);
        assert.deepEqual([...versions], [way.protocol]);
        await until('the end of the watch', async () => {
          const metrics = await (await fetch(`${etcd.first.metricsUrl}/metrics`)).text();
          return /^etcd_debugging_mvcc_watcher_total 0$/m.test(metrics);
        });
      });
    }

  test('a page of an origin that is not allowed gets through in no way', async () => {
    await using refusing = await startProxy({
      endpoints: etcd.endpoints,
      flags: ['--cors-allowed-origins=https://other.example'],
    });
    for (const protocol of PROTOCOLS)
      await assert.rejects(run('unary', protocol, refusing.url, 'refused'), /Failed to fetch/);
    const url = `${etcd.first.url}/v3/kv/range`;
    const body = JSON.stringify({ key: Buffer.from('refused').toString('base64') });
    assert.doesNotMatch(await (await fetch(url, { method: 'POST', body })).text(), /"kvs"/);
  });

  test('auth', async () => {
    const perm = { permType: 'READ', key: Buffer.from('auth').toString('base64') };
    for (const [path, body] of [
      ['user/add', { name: 'root', password: 'secret' }],
      ['user/grant', { user: 'root', role: 'root' }],
      ['user/add', { name: 'reader', password: 'secret' }],
      ['role/add', { name: 'reader' }],
      ['role/grant', { name: 'reader', perm }],
      ['user/grant', { user: 'reader', role: 'reader' }],
      ['enable', {}],
    ] as const) {
      const url = `${etcd.first.url}/v3/auth/${path}`;
      const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
      assert.equal(response.status, 200, await response.text());
    }
    for (const way of ways)
      for (const protocol of PROTOCOLS)
        assert.deepEqual(await run('auth', protocol, way.url), [
          'InvalidArgument: etcdserver: user name is empty',
          'Unauthenticated: etcdserver: invalid auth token',
          'none',
          'PermissionDenied: etcdserver: permission denied',
          'InvalidArgument: etcdserver: authentication failed, invalid user ID or password',
        ]);
  });
});
