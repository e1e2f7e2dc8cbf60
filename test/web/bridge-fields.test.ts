/**
 * What clients choose for the fields of a request over HTTP/2 that is not gRPC: each gets an answer, none of it is a
 * fault of the proxy, and the connection goes on.
 */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { ErrorCode, encodeHeaders, type HeaderList, Http2Connection } from '../../src/http2/index.ts';
import { Door } from './support.ts';

const RANGE = '/etcdserverpb.KV/Range';

/** What became of a request: the status of its answer, or the code of its reset. */
interface Outcome {
  readonly status: number;
  readonly reset: number;
}

/** A client that sends any fields. */
class Client implements Disposable {
  readonly #socket: Socket;
  readonly #connection: Http2Connection;
  closed = false;

  constructor(url: string) {
    this.#socket = connect(Number(new URL(url).port), '127.0.0.1');
    const ignore = (): void => {};
    this.#connection = new Http2Connection(
      this.#socket,
      'client',
      {
        onStream: ignore,
        onReady: ignore,
        onGoaway: ignore,
        onStreamSlots: ignore,
        onClose: () => {
          this.closed = true;
        },
      },
      {},
    );
  }

  ask(fields: HeaderList, body?: Uint8Array): Promise<Outcome> {
    return new Promise((resolve) => {
      let status = 0;
      const limit = setTimeout(() => resolve({ status, reset: -1 }), 10_000);
      const ignore = (): void => {};
      const listener = {
        onHeaders: (_: unknown, list: HeaderList) => {
          status = Number(list[1]);
        },
        onData: ignore,
        onTrailers: ignore,
        onEnd: ignore,
        onDrain: ignore,
        onClose: (_: unknown, code: number) => {
          clearTimeout(limit);
          resolve({ status, reset: code });
        },
      };
      const stream = this.#connection.request(encodeHeaders([...fields]), listener, body === undefined);
      if (body !== undefined) stream.sendData(body, true);
    });
  }

  [Symbol.dispose](): void {
    this.#connection.destroy();
    this.#socket.destroy();
  }
}

const pseudo = (path = '/health', method = 'GET', authority = 'a'): string[] => [
  ...[':method', method, ':scheme', 'http', ':path', path, ':authority', authority],
];
const post = (...fields: string[]): string[] => [
  ...pseudo(RANGE, 'POST'),
  ...['content-type', 'application/json', ...fields],
];
const EMPTY = Buffer.from('{}');

describe('fields that HTTP/1.1 does not know or knows otherwise', () => {
  let door: Door;
  before(async () => {
    door = await Door.open({ unary: { [RANGE]: () => new Uint8Array(0) } });
  });
  after(() => door[Symbol.asyncDispose]());

  /** The answers, one by one, on one connection that lives on. */
  async function answers(...requests: (readonly [HeaderList, Uint8Array?])[]): Promise<number[]> {
    using client = new Client(door.http2Url);
    const statuses: number[] = [];
    for (const [fields, body] of requests) {
      const { status, reset } = await client.ask(fields, body);
      assert.equal(reset, ErrorCode.NO_ERROR, JSON.stringify(fields));
      statuses.push(status);
    }
    assert.equal((await client.ask(pseudo())).status, 200, 'the connection lives on');
    assert.equal(door.observer.faults[0], undefined);
    return statuses;
  }

  test('trailers that are announced and cannot come', async () => {
    const announced = [...pseudo(), 'trailer', 'x-checksum'] as const;
    assert.deepEqual(await answers([announced], [post('trailer', 'x-checksum'), EMPTY]), [400, 200]);
  });

  test('three thousand of them are no fault', async () => {
    using client = new Client(door.http2Url);
    for (let n = 0; n < 30; n++) {
      const asked = Array.from({ length: 100 }, () => client.ask([...pseudo(), 'trailer', 'x']));
      for (const { status } of await Promise.all(asked)) assert.equal(status, 400);
    }
    assert.equal(door.observer.faults[0], undefined);
  });

  test('a tunnel, and methods of all kinds', async () => {
    const tunnel = [':method', 'CONNECT', ':authority', 'a:1'];
    assert.deepEqual(await answers([tunnel], [pseudo('/', 'PRI')], [pseudo('/', '\u00e9')]), [400, 400, 400]);
  });

  test('a path, an authority, a name and a value that HTTP/1.1 cannot carry', async () => {
    const odd = ['\u0001', '\u007f', '\u00ff', 'a b'];
    for (const text of odd) {
      const [path, authority, value] = await answers(
        [pseudo(`/health?${text}`)],
        [pseudo('/health', 'GET', text)],
        [[...pseudo(), 'x-odd', `a${text}b`]],
      );
      assert.equal(path, 400, JSON.stringify(text));
      for (const status of [authority, value]) assert.ok(status === 200 || status === 400, `${status}`);
    }
  });

  test('the host in its own field', async () => {
    const fields = [':method', 'GET', ':scheme', 'http', ':path', '/health', 'host', 'etcd.example'];
    assert.deepEqual(await answers([fields]), [200]);
  });

  test('very many fields, and very long ones', async () => {
    const many = Array.from({ length: 1500 }, (_, n) => [`x-${n}`, 'v']).flat();
    const [few, lots, long] = await answers(
      [[...pseudo(), ...many.slice(0, 600)]],
      [[...pseudo(), ...many]],
      [[...pseudo(), 'x-long', 'v'.repeat(40_000)]],
    );
    assert.equal(few, 200);
    for (const status of [lots, long]) assert.ok(status === 200 || status === 431, `${status}`);
  });

  const names = fc.oneof(
    fc.constantFrom(
      ...[
        'trailer',
        'expect',
        'upgrade',
        'te',
        'host',
        'date',
        'cookie',
        'content-length',
        'content-encoding',
      ],
      ...[
        'content-type',
        'range',
        'accept-encoding',
        'origin',
        'authorization',
        'http2-settings',
        'keep-alive',
      ],
      ...['transfer-encoding', 'connection', 'x-http-method', 'access-control-request-method', '__proto__'],
      ...['constructor', 'grpc-timeout', 'connect-timeout-ms', 'connect-protocol-version', 'if-none-match'],
    ),
    fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9a-z]{1,12}$/),
  );
  const values = fc.oneof(
    fc.constantFrom(
      '',
      '0',
      '-1',
      'chunked',
      '100-continue',
      'trailers',
      'close',
      '*',
      'gzip',
      'a, b',
      '%',
      '1e9',
    ),
    fc
      .array(fc.integer({ min: 1, max: 255 }), { maxLength: 20 })
      .map((codes) => String.fromCharCode(...codes)),
  );
  const requests = fc.record({
    method: fc.oneof(
      fc.constantFrom('GET', 'POST', 'HEAD', 'OPTIONS', 'PUT', 'TRACE', 'PATCH', 'get', 'PURGE', 'M-SEARCH'),
      fc.stringMatching(/^[!-~]{1,8}$/),
    ),
    path: fc.oneof(
      fc.constantFrom('/health', '/metrics', RANGE, '/', '//', '/%', '/a?b#c', '/..', '*', '/http://a/b'),
      fc.string({ unit: 'binary-ascii', maxLength: 12 }).map((text) => `/${text}`),
    ),
    authority: fc.oneof(fc.constantFrom('a', '', '[::1]:1', 'a@b', 'a:b:c'), values),
    fields: fc.array(fc.tuple(names, values), { maxLength: 5 }),
    body: fc.boolean(),
  });

  test('anything at all', async () => {
    using client = new Client(door.http2Url);
    await fc.assert(
      fc.asyncProperty(requests, async ({ method, path, authority, fields, body }) => {
        const list = [...pseudo(path, method, authority), ...fields.flat()];
        const { status, reset } = await client.ask(list, body ? EMPTY : undefined);
        // Malformed by the rules of HTTP/2 itself is a reset; all else has an answer.
        if (status === 0) assert.equal(reset, ErrorCode.PROTOCOL_ERROR);
        else assert.ok(status >= 200 && reset === ErrorCode.NO_ERROR, `${status}, reset ${reset}`);
        assert.equal(door.observer.faults[0], undefined);
        assert.equal(client.closed, false);
      }),
      { numRuns: 2000, endOnFailure: false },
    );
  });
});
