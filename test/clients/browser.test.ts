/**
 * A real browser: a page of another origin calls the proxy, by Connect and gRPC-Web over fetch and by Google's client,
 * where the proxy allows its origin; where it does not, the browser lets nothing through.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { BrowserContext, Page } from 'playwright-core';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { noChromium, startChromium } from './browser/chromium.ts';
import { GrpcJs } from './npm/grpc-js.ts';

const REFUSED = 'etcdserver: key is not provided';

const PAGE =
  '<!doctype html><title>site</title><script src="/grpc-web.js"></script><script src="/page.js"></script>';

/** A site with the page, on an origin of its own. */
async function serveSite(): Promise<{ server: Server; origin: string }> {
  const library = await readFile(createRequire(import.meta.url).resolve('grpc-web'), 'utf8');
  const scripts: Readonly<Record<string, string>> = {
    '/page.js': await readFile(join(import.meta.dirname, 'browser', 'page.js'), 'utf8'),
    '/grpc-web.js': `globalThis.library = {};((exports) => {${library}\n})(globalThis.library);`,
  };
  const server = createServer((request, response) => {
    const script = scripts[request.url ?? ''];
    response.setHeader('content-type', script === undefined ? 'text/html' : 'text/javascript');
    response.end(script ?? PAGE);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return { server, origin: `http://127.0.0.1:${port}` };
}

describe('browser', { skip: noChromium() }, () => {
  let etcd: EtcdCluster;
  let site: { server: Server; origin: string };
  let browser: BrowserContext;
  let page: Page;
  before(async () => {
    [etcd, site, browser] = await Promise.all([startEtcd(), serveSite(), startChromium()]);
    page = await browser.newPage();
    await page.goto(site.origin);
  });
  after(async () => {
    await browser?.close();
    site?.server.close();
    await etcd?.stop();
  });

  const flow = (name: string, url: string): Promise<unknown> =>
    page.evaluate(`flows.${name}(${JSON.stringify(url)}, 'browser/${name}')`);

  test('of an allowed origin', async () => {
    const flags = [`--cors-allowed-origins=${site.origin}`];
    await using proxy = await startProxy({ endpoints: etcd.endpoints, flags });
    const expected = { got: 'one', watched: ['created', 'two'] };
    assert.deepEqual(await flow('connectJson', proxy.url), {
      ...expected,
      refusal: `invalid_argument: ${REFUSED}`,
    });
    assert.deepEqual(await flow('grpcWeb', proxy.url), { ...expected, refusal: `3: ${REFUSED}` });
    assert.deepEqual(await flow('googlesClient', proxy.url), { ...expected, refusal: `3: ${REFUSED}` });
    await until('the end of the watches', async () => {
      const metrics = await (await fetch(`${etcd.first.metricsUrl}/metrics`)).text();
      return /^etcd_debugging_mvcc_watcher_total 0$/m.test(metrics);
    });
  });

  test('of any other origin', async () => {
    for (const flags of [[], ['--cors-allowed-origins=https://other.example']]) {
      await using proxy = await startProxy({ endpoints: etcd.endpoints, flags });
      await assert.rejects(flow('connectJson', proxy.url), /Failed to fetch/);
      await assert.rejects(flow('grpcWeb', proxy.url), /Failed to fetch/);
      await assert.rejects(
        flow('googlesClient', proxy.url),
        /Http response at 400 or 500 level|status code: 0/,
      );
    }
    // What the allowed page wrote, and nothing since.
    using client = new GrpcJs(etcd.first.address);
    const [key, rangeEnd] = [Buffer.from('browser/'), Buffer.from('browser0')];
    const { kvs } = await client.unary(KV.method.range, { key, rangeEnd });
    assert.deepEqual(
      kvs.map(({ version }) => version),
      [2n, 2n, 2n],
    );
  });
});
