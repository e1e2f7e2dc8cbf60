/** Streams of etcd's JSON: over POST as lines, over WebSocket as frames, and what becomes of broken ones. */
import assert from 'node:assert/strict';
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { after, before, describe, test } from 'node:test';
import { type RawData, WebSocket } from 'ws';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { type GatewayAnswer, send } from './gateway/sides.ts';

const b64 = (text: string): string => Buffer.from(text).toString('base64');

interface Line {
  readonly result?: {
    readonly header: { readonly revision: string };
    readonly created?: boolean;
    readonly canceled?: boolean;
    readonly watch_id?: string;
    readonly compact_revision?: string;
    readonly cancel_reason?: string;
    readonly events?: readonly { readonly type?: string; readonly kv: { readonly mod_revision: string } }[];
    readonly ID?: string;
    readonly TTL?: string;
  };
  readonly error?: Readonly<Record<string, unknown>>;
}

/** A request whose body and answer go on. Each chunk of the answer is kept as it came. */
class Exchange {
  readonly request: ClientRequest;
  response: IncomingMessage | undefined;
  readonly chunks: string[] = [];
  ended = false;

  constructor(base: string, path: string, headers: Readonly<Record<string, string>> = {}) {
    this.request = httpRequest(`${base}/v3/${path}`, { method: 'POST', headers, agent: false });
    this.request.on('error', () => {});
    this.request.on('response', (response) => {
      this.response = response;
      response.on('data', (chunk: Buffer) => this.chunks.push(chunk.toString()));
      response.on('end', () => {
        this.ended = true;
      });
      response.on('error', () => {});
    });
    this.request.flushHeaders();
  }

  get lines(): Line[] {
    return this.chunks.map((chunk) => JSON.parse(chunk) as Line);
  }

  async atLeast(count: number): Promise<Line[]> {
    await until(`${count} lines, there are ${this.chunks.join('')}`, () => this.chunks.length >= count);
    return this.lines;
  }
}

/** Frames of a WebSocket. */
class Socket {
  readonly socket: WebSocket;
  readonly frames: Line[] = [];
  closed: number | undefined;
  refused: number | undefined;

  constructor(base: string, path: string, protocols: string[] = [], headers: Record<string, string> = {}) {
    this.socket = new WebSocket(`${base.replace('http', 'ws')}/v3/${path}`, protocols, { headers });
    this.socket.on('message', (data: RawData, binary: boolean) => {
      assert.equal(binary, false);
      this.frames.push(JSON.parse(String(data)) as Line);
    });
    this.socket.on('close', (code) => {
      this.closed = code;
    });
    this.socket.on('unexpected-response', (request, response) => {
      this.refused = response.statusCode ?? 0;
      request.destroy();
    });
    this.socket.on('error', () => {});
  }

  async send(...texts: string[]): Promise<void> {
    await until('the socket', () => this.socket.readyState === WebSocket.OPEN);
    for (const text of texts) this.socket.send(text);
  }

  async atLeast(count: number): Promise<Line[]> {
    await until(
      `${count} frames, there are ${JSON.stringify(this.frames)}`,
      () => this.frames.length >= count,
    );
    return this.frames;
  }
}

describe('streams of JSON', () => {
  let etcd: EtcdCluster;
  let proxy: RunningProxy;
  before(async () => {
    etcd = await startEtcd();
    proxy = await startProxy({ endpoints: etcd.endpoints, flags: ['--watch-linger=0s'] });
  });
  after(async () => {
    await proxy?.stop();
    await etcd?.stop();
  });

  const ask = (path: string, body: object): Promise<GatewayAnswer> =>
    send(proxy.url, { path, body: JSON.stringify(body) });
  const put = async (key: string): Promise<string> => {
    const { text } = await ask('kv/put', { key: b64(key), value: b64('value') });
    return (JSON.parse(text) as { header: { revision: string } }).header.revision;
  };
  const noWatches = () =>
    until('the end of the watches at etcd', async () => {
      const metrics = await (await fetch(`${etcd.first.metricsUrl}/metrics`)).text();
      return /^etcd_debugging_mvcc_watcher_total 0$/m.test(metrics);
    });

  test('a watch: one chunk a message, ended by a newline; the client goes and so does the watch', async () => {
    const exchange = new Exchange(proxy.url, 'watch');
    exchange.request.end(JSON.stringify({ create_request: { key: b64('w') } }));
    const [created] = await exchange.atLeast(1);
    assert.equal(created?.result?.created, true);
    assert.equal(exchange.response?.headers['grpc-metadata-content-type'], 'application/grpc');
    const revision = await put('w');
    await ask('kv/deleterange', { key: b64('w') });
    const [, first, second] = await exchange.atLeast(3);
    assert.deepEqual(
      first?.result?.events?.map(({ type }) => type),
      [undefined],
    );
    assert.equal(first?.result?.header.revision, revision);
    assert.deepEqual(
      second?.result?.events?.map(({ type }) => type),
      ['DELETE'],
    );
    for (const chunk of exchange.chunks) assert.match(chunk, /^\{"result":.*\}\n$/);
    assert.equal(exchange.ended, false);
    exchange.request.destroy();
    await noWatches();
  });

  test('the same over HTTP/2', async () => {
    const session = connectHttp2(proxy.url);
    session.on('error', () => {});
    const stream = session.request({ ':method': 'POST', ':path': '/v3/watch' });
    let text = '';
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    stream.on('error', () => {});
    stream.write(JSON.stringify({ create_request: { key: b64('h2') } }));
    await until('the watch', () => text.includes('"created":true}}\n'));
    stream.write('{"progress_request":{}}');
    await until('the progress', () => text.split('\n').length === 3);
    await put('h2');
    await until('the event', () => text.includes('"events":[{"kv":'));
    session.destroy();
    await noWatches();
  });

  test('several requests in one body, while it is being sent', async () => {
    const exchange = new Exchange(proxy.url, 'watch');
    const create = (key: string, id: number) =>
      JSON.stringify({ create_request: { key: b64(key), watch_id: id } });
    exchange.request.write(`${create('m1', 7)}${create('m2', 8).slice(0, 20)}`);
    assert.equal((await exchange.atLeast(1))[0]?.result?.watch_id, '7');
    exchange.request.write(`${create('m2', 8).slice(20)}\n{"progress_request":{}}`);
    const [, second] = await exchange.atLeast(2);
    assert.equal(second?.result?.watch_id, '8');
    exchange.request.end('{"cancel_request":{"watch_id":"7"}}');
    await until('the cancellation', () => exchange.lines.some(({ result }) => result?.canceled === true));
    await put('m2');
    await until('the event', () => exchange.lines.some(({ result }) => result?.events?.length === 1));
    exchange.request.destroy();
    await noWatches();
  });

  test('the revision of a response is never ahead of events to come', async () => {
    const first = await put('r/1');
    for (let n = 0; n < 3; n++) await put('r/2');
    await put('elsewhere');
    const exchange = new Exchange(proxy.url, 'watch');
    exchange.request.end(
      JSON.stringify({ create_request: { key: b64('r/'), range_end: b64('r0'), start_revision: first } }),
    );
    const count = () => exchange.lines.reduce((sum, { result }) => sum + (result?.events?.length ?? 0), 0);
    await until('the events', () => count() === 4);
    for (const { result } of exchange.lines) {
      if (result?.events !== undefined)
        assert.equal(result.header.revision, result.events.at(-1)?.kv.mod_revision);
    }
    exchange.request.destroy();
  });

  test('a compacted revision: created, then canceled', async () => {
    const revision = await put('c');
    await put('c');
    await ask('kv/compaction', { revision: await put('c') });
    const exchange = new Exchange(proxy.url, 'watch');
    exchange.request.end(JSON.stringify({ create_request: { key: b64('c'), start_revision: revision } }));
    const [created, canceled] = await exchange.atLeast(2);
    assert.equal(created?.result?.created, true);
    assert.equal(canceled?.result?.canceled, true);
    assert.ok(Number(canceled?.result?.compact_revision) > Number(revision));
    exchange.request.destroy();
  });

  test('one heartbeat is answered once, and the answer ends', async () => {
    await ask('lease/grant', { ID: 5, TTL: 60 });
    const { status, text } = await ask('lease/keepalive', { ID: 5 });
    assert.equal(status, 200);
    const lines = text.split('\n');
    assert.equal(lines.length, 2);
    assert.deepEqual((JSON.parse(lines[0] as string) as Line).result?.TTL, '60');
  });

  test('a first message that cannot be read is refused, a later one ends what the client sends', async () => {
    const { status, text } = await send(proxy.url, { path: 'watch', body: '{"create_request":' });
    assert.equal(status, 400);
    const refusal = JSON.parse(text) as Record<string, unknown>;
    assert.deepEqual({ ...refusal, message: '' }, { error: refusal.message, code: 3, message: '' });
    const exchange = new Exchange(proxy.url, 'watch');
    exchange.request.end(`${JSON.stringify({ create_request: { key: b64('later') } })} {"create`);
    await exchange.atLeast(1);
    await put('later');
    assert.equal((await exchange.atLeast(2))[1]?.result?.events?.length, 1);
    exchange.request.destroy();
  });

  test('bodies that break off harm nobody', async () => {
    const exchange = new Exchange(proxy.url, 'watch');
    exchange.request.end(JSON.stringify({ create_request: { key: b64('safe') } }));
    await exchange.atLeast(1);
    for (const path of ['watch', 'lease/keepalive', 'kv/put', 'maintenance/snapshot']) {
      for (const part of ['', '{', '{"key":"YQ==', '{"create_request":{"key":"YQ=="}}{']) {
        const cut = new Exchange(proxy.url, path, { 'content-length': '1000' });
        await new Promise<void>((resolve) => cut.request.write(part || ' ', () => resolve()));
        cut.request.destroy();
      }
    }
    await put('safe');
    assert.equal((await exchange.atLeast(2))[1]?.result?.events?.length, 1);
    exchange.request.destroy();
    await noWatches();
    assert.ok(!proxy.stderr.some((line) => line.includes('"level":"error"')), proxy.stderr.join('\n'));
  });

  test('a snapshot', async () => {
    const { status, text } = await send(proxy.url, { path: 'maintenance/snapshot' });
    assert.equal(status, 200);
    const blobs = text
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { result: { blob?: string; remaining_bytes?: string } }).result);
    const bytes = Buffer.concat(blobs.map(({ blob = '' }) => Buffer.from(blob, 'base64')));
    assert.ok(bytes.length > 10_000);
    assert.equal(blobs.at(-1)?.remaining_bytes, undefined);
  });

  test('WebSocket: watches with numbers of the client, several messages a frame, progress', async () => {
    const socket = new Socket(proxy.url, 'watch');
    await socket.send(
      `${JSON.stringify({ create_request: { key: b64('ws'), watch_id: 1 } })}\n`,
      '{"progress_request":{}}{"progress_request":',
      '{}}\n',
    );
    await until('the progress', () => socket.frames.length >= 3);
    assert.equal(socket.frames[0]?.result?.watch_id, '1');
    const revision = await put('ws');
    await until('the event', () =>
      socket.frames.some(({ result }) => result?.events?.[0]?.kv.mod_revision === revision),
    );
    socket.socket.close();
    await noWatches();
  });

  test('WebSocket: heartbeats and unary calls', async () => {
    await ask('lease/grant', { ID: 6, TTL: 60 });
    const socket = new Socket(proxy.url, 'lease/keepalive');
    await socket.send('{"ID":6}');
    await socket.atLeast(1);
    await socket.send('{"ID":"6"}{"ID":6}');
    assert.deepEqual(
      (await socket.atLeast(3)).map(({ result }) => result?.TTL),
      ['60', '60', '60'],
    );
    socket.socket.close();
    const unary = new Socket(proxy.url, 'kv/range');
    await unary.send(JSON.stringify({ key: b64('absent') }));
    await until('the end', () => unary.closed === 1000);
    assert.equal(unary.frames.length, 1);
    const wrong = new Socket(proxy.url, 'watch');
    await wrong.send('{"create_request":7}');
    await until('the end', () => wrong.closed === 1000);
    const [refusal] = wrong.frames as readonly { code?: number }[];
    assert.equal(refusal?.code, 3);
  });

  test('WebSocket: pages of other origins, other paths and other upgrades', async () => {
    const foreign = new Socket(proxy.url, 'watch', [], { origin: 'http://evil.example' });
    await until('the refusal', () => foreign.refused === 403);
    const rebound = new Socket(proxy.url, 'watch', [], {
      origin: 'http://evil.example',
      host: 'evil.example',
    });
    await until('the refusal', () => rebound.refused === 421);
    const elsewhere = new Socket(proxy.url, 'nowhere');
    await until('the refusal', () => elsewhere.refused === 404);
    const own = new Socket(proxy.url, 'watch', [], { origin: proxy.url });
    await own.send('{"create_request":{"key":"YQ=="}}');
    await own.atLeast(1);
    own.socket.close();
    const status = await new Promise((resolve, reject) => {
      const headers = { connection: 'upgrade', upgrade: 'h2c' };
      const request = httpRequest(`${proxy.url}/version`, { headers, agent: false });
      request.on('response', (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      request.on('error', reject);
      request.end();
    });
    assert.equal(status, 200);
  });

  test('the proxy ends: WebSockets are told', async () => {
    const other = await startProxy({ endpoints: etcd.endpoints });
    const socket = new Socket(other.url, 'watch');
    await socket.send(JSON.stringify({ create_request: { key: b64('end') } }));
    await socket.atLeast(1);
    await other.stop();
    await until('the end', () => socket.closed !== undefined);
    assert.equal(socket.closed, 1001);
  });
});
