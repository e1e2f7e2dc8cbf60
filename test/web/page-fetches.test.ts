/** What the fetches of etcd's pages do with servers that no etcd is: they are bounded, shared, and follow nobody. */
import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { test } from 'node:test';
import { Registry } from '@prometheus-io/client';
import { parseEndpoint } from '../../src/net/endpoint.ts';
import { MetricsPages, PageMetrics } from '../../src/observe/metrics-pages.ts';
import { exposeGauge } from '../../src/observe/readings.ts';
import type { EtcdPage, NoPage, PageBounds } from '../../src/rpc/pages.ts';
import { EtcdHealth } from '../../src/services/etcd-health.ts';
import { EndpointPages } from '../../src/upstream/endpoint-pages.ts';
import { until } from '../support/until.ts';

const BOUNDS: PageBounds = { statuses: [200], timeout: 10_000, maxBytes: 1000 };

/** A server in place of etcd, and the fetches of its pages. */
class Place implements AsyncDisposable {
  readonly results: string[] = [];
  readonly pages: EndpointPages;
  readonly #server: Server;
  connections = 0;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', () => this.connections++);
    const { port } = server.address() as AddressInfo;
    const endpoint = parseEndpoint(`127.0.0.1:${port}`);
    const noTls = (): never => {
      throw new Error('no TLS here');
    };
    this.pages = new EndpointPages({
      endpoint: () => endpoint,
      tls: { connect: noTls },
      observer: { onFetched: (result) => this.results.push(result) },
    });
  }

  static async open(listener: RequestListener): Promise<Place> {
    const server = createServer(listener);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Place(server);
  }

  /** Ends the connections that are kept, as a server does that starts again. */
  cut(): void {
    this.#server.closeAllConnections();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.pages.close();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const textOf = (page: EtcdPage | NoPage): string =>
  typeof page === 'string' ? page : `${page.status} ${Buffer.from(page.body)}`;

test('a page comes as its bytes, over a connection that is kept, and one that was closed is opened again', async () => {
  const asked: unknown[] = [];
  await using place = await Place.open(({ url, headers }, response) => {
    asked.push([url, headers.accept, headers['accept-encoding']]);
    response.setHeader('content-type', 'text/plain').end('a\0b');
  });
  for (let i = 0; i < 3; i++) assert.equal(textOf(await place.pages.get('/p', BOUNDS)), '200 a\0b');
  assert.equal(place.connections, 1);
  assert.deepEqual(asked[0], ['/p', 'text/plain;version=0.0.4', 'identity']);
  place.cut();
  assert.equal(textOf(await place.pages.get('/p', BOUNDS)), '200 a\0b');
  assert.equal(place.connections, 2);
  assert.deepEqual(place.results, Array(4).fill('ok'));
});

test('simultaneous fetches of one page are one', async () => {
  let asked = 0;
  const go = Promise.withResolvers<void>();
  await using place = await Place.open((_, response) => {
    asked++;
    void go.promise.then(() => response.setHeader('content-type', 'text/plain').end('x'));
  });
  const all = Array.from({ length: 100 }, () => place.pages.get('/p', BOUNDS));
  const other = place.pages.get('/q', BOUNDS);
  await until('two requests', () => asked === 2);
  go.resolve();
  for (const page of await Promise.all([...all, other])) assert.equal(textOf(page), '200 x');
  assert.equal(asked, 2);
});

test('what is too large, too slow, cut short, elsewhere or no text is no page', async () => {
  await using place = await Place.open(({ url }, response) => {
    response.setHeader('content-type', url === '/html' ? 'text/html' : 'text/plain');
    if (url === '/large') response.end(Buffer.alloc(1001));
    else if (url === '/endless') setInterval(() => response.write(Buffer.alloc(500)), 1).unref();
    else if (url === '/slow') response.write('x');
    else if (url === '/cut') response.write('x', () => response.destroy());
    else if (url === '/moved') response.writeHead(302, { location: '/p' }).end();
    else if (url === '/failed') response.writeHead(500).end('x');
    else if (url === '/full') response.end(Buffer.alloc(1000));
    else response.end('x');
  });
  const seen: Record<string, string> = {};
  for (const path of ['/large', '/endless', '/slow', '/cut', '/moved', '/failed', '/html', '/full', '/p']) {
    const bounds = path === '/slow' ? { ...BOUNDS, timeout: 50 } : BOUNDS;
    const page = await place.pages.get(path, bounds);
    seen[path] = typeof page === 'string' ? page : 'page';
  }
  assert.deepEqual(seen, {
    '/large': 'too_large',
    '/endless': 'too_large',
    '/slow': 'timeout',
    '/cut': 'unreachable',
    '/moved': 'unexpected',
    '/failed': 'unexpected',
    '/html': 'unexpected',
    '/full': 'page',
    '/p': 'page',
  });
});

test('nobody there, and somebody who speaks another protocol', async () => {
  const h2 = createTcpServer((socket) => {
    socket.on('error', () => {});
    socket.resume();
    socket.write(Buffer.from('000000040000000000', 'hex'));
  });
  await new Promise<void>((resolve) => h2.listen(0, '127.0.0.1', resolve));
  const results: string[] = [];
  const pagesOf = (name: string | undefined): EndpointPages =>
    new EndpointPages({
      endpoint: () => (name === undefined ? undefined : parseEndpoint(name)),
      tls: { connect: () => assert.fail('no TLS here') },
      observer: { onFetched: (result) => results.push(result) },
    });
  const { port } = h2.address() as AddressInfo;
  assert.equal(await pagesOf(`127.0.0.1:${port}`).get('/p', BOUNDS), 'unreachable');
  await new Promise((resolve) => h2.close(resolve));
  assert.equal(await pagesOf(`127.0.0.1:${port}`).get('/p', BOUNDS), 'unreachable');
  assert.equal(await pagesOf(undefined).get('/p', BOUNDS), 'not_connected');
  assert.deepEqual(results, ['unreachable', 'unreachable', 'not_connected']);
});

test('metrics: what etcd has is not repeated, and a page without an end of line gets one', async () => {
  let body =
    '# HELP both x\n# TYPE both gauge\nboth 1\n# HELP text # TYPE own gauge\n# TYPE text gauge\ntext 2';
  await using place = await Place.open((_, response) => {
    response.setHeader('content-type', 'text/plain; version=0.0.4').end(body);
  });
  const registry = new Registry();
  exposeGauge(registry, 'both', 'ours', () => 3);
  exposeGauge(registry, 'own', 'ours', () => 4);
  new PageMetrics(registry);
  const pages = new MetricsPages(registry, place.pages);
  const page = String((await pages.all()).body);
  assert.ok(page.startsWith(`${body}\n# HELP own ours\n# TYPE own gauge\nown 4\n`), page);
  assert.ok(page.endsWith('\n') && !page.includes('both 3'), page);
  assert.match(String((await pages.own()).body), /both 3/);
  const [one, other] = await Promise.all([pages.all(), pages.all()]);
  assert.equal(one.body, other.body, 'the same bytes for simultaneous scrapes');
  body = '';
  assert.match(String((await pages.all()).body), /^# HELP both ours/);
});

test("a health page that is not etcd's word counts for nothing", async () => {
  await using place = await Place.open((_, response) => {
    response.setHeader('content-type', 'text/plain').end('OK');
  });
  const health = new EtcdHealth(place.pages, async () => ({ health: false, reason: 'the read' }));
  assert.deepEqual(await health.check(new URLSearchParams()), { health: false, reason: 'the read' });
});
