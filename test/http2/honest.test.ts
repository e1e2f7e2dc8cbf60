/** What an honest peer may do, and how often: a guard may slow it down, and never takes its connection. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { unknownMethod } from '../../src/etcd/methods.ts';
import { GrpcServer } from '../../src/grpc/server.ts';
import { IdTable } from '../../src/http2/id-table.ts';
import {
  encodeHeaders,
  Http2Connection,
  type Http2Settings,
  type Http2Stream,
} from '../../src/http2/index.ts';
import { completeSettings } from '../../src/http2/settings.ts';
import type { Stream } from '../../src/http2/stream.ts';
import type { ServerStream } from '../../src/rpc/contract.ts';
import { ignore, UNOBSERVED } from '../grpc/grpc-door.ts';
import { until } from '../support/until.ts';
import { EngineServer, Exchange, Owner } from './support/exchange.ts';
import { MemorySocket } from './support/memory-socket.ts';
import { Answer, answer, get, POST, POST_LIST, post, TRAILERS } from './support/play.ts';
import * as raw from './support/raw-peer.ts';

const { END_HEADERS, END_STREAM, frame, u32 } = raw;
const BODY = Buffer.from('body');
const IGNORED = { onHalfClose: ignore, onDrain: ignore, onCancel: ignore };
const cancel = (id: number): Buffer => frame('RST_STREAM', 0, id, u32(8));
const ids = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + 2 * i);

/** A server whose calls are answered by the test alone, and a client of it. */
async function serve(given: Partial<Http2Settings>, onStream = keep) {
  const server = new EngineServer(onStream, given);
  const peer = raw.rawClient(await server.listen());
  await peer.settled();
  const owner = server.owners[0];
  assert.ok(owner);
  return {
    peer,
    owner,
    async [Symbol.asyncDispose]() {
      peer.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

function keep(stream: Http2Stream): void {
  stream.listener = new Exchange();
}

describe('streams that are given up', () => {
  const few = { maxResetsPerSecond: 10, maxResetsBurst: 20 };

  test('by a time that was announced do not count', async () => {
    await using scene = await serve(few, (stream) => {
      keep(stream);
      stream.givenUpAt = stream.openedAt + 50;
    });
    const { peer, owner } = scene;
    peer.send(...ids(1, 400).map((id) => post(id)));
    assert.ok(await peer.settled());
    await sleep(50);
    peer.send(...ids(1, 400).map(cancel));
    assert.ok(await peer.settled());
    assert.deepEqual(owner.limits, []);
  });

  test('long before that they do', async () => {
    await using scene = await serve(few, (stream) => {
      keep(stream);
      stream.givenUpAt = stream.openedAt + 60_000;
    });
    const { peer, owner } = scene;
    for (const id of ids(1, 400)) peer.send(post(id), cancel(id));
    assert.ok(await peer.settled());
    assert.deepEqual([...new Set(owner.limits)], ['maxResetsPerSecond']);
  });

  test('make new ones wait, and nothing else', async () => {
    await using scene = await serve(few);
    const { peer, owner } = scene;
    peer.send(post(1));
    for (const id of ids(3, 200)) peer.send(post(id), cancel(id));
    assert.ok(await peer.settled());
    assert.deepEqual(owner.limits, ['maxResetsPerSecond']);
    const begun = owner.streams.length;
    assert.ok(begun < 30, `${begun} were begun`);
    // The one from before goes on.
    const before = owner.streams[0]?.listener as Exchange;
    peer.send(frame('DATA', END_STREAM, 1, BODY));
    await until('its content arrives', () => before.bytes === BODY.length);
    // A new one begins after a while, with all that came for it in the meantime.
    peer.send(post(1001), frame('DATA', 0, 1001, BODY), frame('DATA', END_STREAM, 1001, BODY));
    assert.ok(await peer.settled());
    await until('the new one begins', () => owner.streams.some(({ id }) => id === 1001));
    const late = owner.streams.find(({ id }) => id === 1001)?.listener as Exchange;
    await until('it is complete', () => late.events.includes('end'));
    assert.deepEqual([late.bytes, late.events], [2 * BODY.length, ['data', 'end']]);
    assert.equal(owner.closes, 0);
  });

  test('a flood of whole calls on the way to an answer is not held up for long', async () => {
    await using scene = await serve({ maxResetsPerSecond: 1, maxResetsBurst: 20 });
    const { peer, owner } = scene;
    for (const id of ids(1, 100)) peer.send(post(id), cancel(id));
    assert.ok(await peer.settled());
    owner.onStreamHook = answer;
    // At one a slice this would take 50 s; each answer lets one more begin.
    const begin = performance.now();
    for (const id of ids(1001, 500)) peer.send(post(id), frame('DATA', END_STREAM, id, BODY));
    for (const id of ids(1001, 500))
      assert.ok(await peer.next((f) => f.id === id && f.type === 'HEADERS' && (f.flags & END_STREAM) !== 0));
    assert.ok(performance.now() - begin < 20_000);
  });

  test('those that wait may end without content, be paused by their owner, or be drained', async () => {
    await using scene = await serve(few);
    const { peer, owner } = scene;
    for (const id of ids(1, 200)) peer.send(post(id), cancel(id));
    assert.ok(await peer.settled());
    owner.onStreamHook = (stream) => {
      stream.listener = new Answer();
      if (stream.id === 1003) stream.pause();
    };
    peer.send(post(1001, END_HEADERS | END_STREAM), post(1003), frame('DATA', END_STREAM, 1003, BODY));
    assert.ok(await peer.settled());
    owner.streams[0]?.connection.drain();
    // It may have been answered while the peer waited for the answer to its PING.
    await until('one is answered', () =>
      peer.frames.some(({ type, id }) => type === 'HEADERS' && id === 1001),
    );
    await until('both begin', () => owner.streams.some(({ id }) => id === 1003));
    const paused = owner.streams.find(({ id }) => id === 1003) as Http2Stream;
    assert.ok(await peer.settled());
    assert.equal((paused.listener as Exchange).bytes, 0);
    paused.resume();
    assert.ok(await peer.nextOf('DATA', 1003));
  });

  test('all that wait begin when there is room again, so many in one turn of the event loop', async () => {
    await using scene = await serve({ maxResetsPerSecond: 1, maxResetsBurst: 1 });
    const { peer, owner } = scene;
    peer.send(post(1), cancel(1), post(3), cancel(3));
    assert.ok(await peer.settled());
    assert.deepEqual(owner.limits, ['maxResetsPerSecond']);
    let begun = 0;
    let most = 0;
    owner.onStreamHook = (stream) => {
      keep(stream);
      if (begun++ === 0)
        queueMicrotask(() => {
          most = Math.max(most, begun);
          begun = 0;
        });
    };
    // In parts, since those that come when there is room begin at once.
    for (let first = 1001; first < 11_001; first += 1000) {
      peer.send(Buffer.concat(ids(first, 500).map((id) => get(id))));
      assert.ok(await peer.settled());
    }
    await until('all are begun', () => owner.streams.length === 5002);
    assert.ok(most <= 1024, `${most} at once`);
  });

  test('any number, where the rate is 0', async () => {
    await using scene = await serve({ maxResetsPerSecond: 0, maxResetsBurst: 0 });
    const { peer, owner } = scene;
    for (const id of ids(1, 3000)) peer.send(post(id), cancel(id));
    assert.ok(await peer.settled());
    assert.equal(owner.streams.length, 3000);
    assert.deepEqual(owner.limits, []);
  });
});

describe('frames that carry nothing', () => {
  test('more pings than the rate: all are answered, later', async () => {
    await using scene = await serve({ maxControlFramesPerSecond: 100 });
    const { peer, owner } = scene;
    // Each follows the answer to the one before, as a client does that measures its bandwidth.
    let begin = 0;
    for (let sent = 0; owner.limits.length === 0; sent++) {
      assert.ok(sent < 10_000, 'there were too many');
      begin = performance.now();
      assert.ok(await peer.settled());
    }
    // From then on as many as the rate, whatever time it took to get there.
    for (let i = 0; i < 100; i++) assert.ok(await peer.settled());
    assert.ok(performance.now() - begin > 500, 'that took time');
    assert.deepEqual([...new Set(owner.limits)], ['maxControlFramesPerSecond']);
  });

  test('a burst of them, with other frames among them: nothing is lost or changes places', async () => {
    const given = { maxControlFramesPerSecond: 100, maxFloodMs: 60_000 };
    await using scene = await serve(given, answer);
    const { peer } = scene;
    const ping = frame('PING', 0, 0, Buffer.alloc(8));
    const parts = ids(1, 10).flatMap((id) => [
      ...[post(id), ping, frame('DATA', 0, id, BODY), ...Array.from({ length: 30 }, () => ping)],
      ...[frame('DATA', END_STREAM, id, BODY)],
    ]);
    const bytes = Buffer.concat(parts);
    // Cut anywhere, also within frames.
    for (let at = 0; at < bytes.length; at += 1000) peer.send(bytes.subarray(at, at + 1000));
    for (const id of ids(1, 10)) {
      const data = await peer.nextOf('DATA', id);
      assert.equal(data?.payload.toString(), 'bodybody');
    }
    await until('every ping is answered', () => {
      const acks = peer.frames.filter(({ type, flags }) => type === 'PING' && flags === raw.ACK);
      return acks.length === 311; // and the one that the scene began with
    });
  });

  test('empty DATA frames, one in each of many calls that end with trailers', async () => {
    await using scene = await serve({}, answer);
    const { peer, owner } = scene;
    for (const id of ids(1, 1500)) {
      peer.send(post(id), frame('DATA', 0, id), frame('HEADERS', END_HEADERS | END_STREAM, id, TRAILERS));
      assert.ok(await peer.nextOf('HEADERS', id));
    }
    assert.deepEqual(owner.limits, []);
  });

  test('streams over the limit: refused, without an end', async () => {
    await using scene = await serve({ maxConcurrentStreams: 1 });
    const { peer, owner } = scene;
    peer.send(Buffer.concat(ids(1, 5000).map((id) => post(id))));
    assert.ok(await peer.settled());
    assert.equal(owner.closes, 0);
    assert.equal(owner.streams.length, 1);
  });
});

describe('time', () => {
  test('a frame may stay incomplete for longer than a field block', async () => {
    await using scene = await serve({ headersTimeoutMs: 20 }, answer);
    const { peer } = scene;
    const call = Buffer.concat([post(1), frame('DATA', END_STREAM, 1, BODY)]);
    peer.send(call.subarray(0, -1));
    await sleep(200);
    peer.send(call.subarray(-1));
    assert.equal((await peer.nextOf('DATA', 1))?.payload.toString(), 'body');
  });

  test('each field block has its own time', async () => {
    await using scene = await serve({ headersTimeoutMs: 2000 }, answer);
    const { peer } = scene;
    // The input always ends within a block, and never within the same one for long.
    const rest = (id: number): Buffer[] => [
      frame('CONTINUATION', END_HEADERS, id),
      frame('DATA', END_STREAM, id, BODY),
    ];
    peer.send(frame('HEADERS', 0, 1, POST));
    for (const id of ids(1, 30)) {
      await sleep(100);
      peer.send(...rest(id), frame('HEADERS', 0, id + 2, POST));
    }
    peer.send(...rest(61));
    assert.ok(await peer.nextOf('HEADERS', 61));
  });

  test('a client need not acknowledge our SETTINGS', () => {
    assert.equal(completeSettings('server', {}).settingsTimeoutMs, 0);
  });
});

describe('what a client sends faster than others can be served beside it', () => {
  /** A connection without a kernel: what is pushed is there at once. */
  async function atOnce(memory = new MemorySocket(), onStream = keep) {
    const owner = new Owner(onStream);
    const connection = new Http2Connection(memory.socket, 'server', owner);
    memory.push(Buffer.concat([raw.MAGIC, raw.settings()]));
    await until('it is ready', () => connection.exchange.ready);
    return {
      memory,
      owner,
      connection,
      [Symbol.dispose]() {
        connection.destroy();
        memory.destroy();
      },
    };
  }

  test('begins in parts: calls', async () => {
    using scene = await atOnce();
    const { memory, owner } = scene;
    for (const first of [1, 5001, 10_001]) memory.push(Buffer.concat(ids(first, 2500).map((id) => get(id))));
    assert.equal(owner.streams.length, 2500);
    await until('all are begun', () => owner.streams.length === 7500);
    assert.deepEqual(
      owner.streams.map(({ id }) => id),
      ids(1, 7500),
    );
  });

  test('begins in parts: calls in short records of TLS', async () => {
    const secure = Object.assign(new MemorySocket(), { encrypted: true });
    using scene = await atOnce(secure);
    const { memory, owner } = scene;
    for (let first = 1; first < 10_001; first += 100)
      memory.push(Buffer.concat(ids(first, 50).map((id) => get(id))));
    const begun = owner.streams.length;
    assert.ok(begun >= 2000 && begun < 2100, `${begun}`);
    await until('all are begun', () => owner.streams.length === 5000);
    assert.deepEqual(
      owner.streams.map(({ id }) => id),
      ids(1, 5000),
    );
  });

  describe('is taken in parts: messages, of which a full frame has thousands', () => {
    const fields = encodeHeaders([...POST_LIST, 'content-type', 'application/grpc', 'te', 'trailers']);
    const perFrame = 3000;
    /** Each message takes five octets, and has none of its own. */
    const full = (id: number, flags = 0) => frame('DATA', flags, id, Buffer.alloc(5 * perFrame));

    async function door() {
      const taken: string[] = [];
      const streams: ServerStream[] = [];
      const serve = (stream: ServerStream): void => {
        const name = String(streams.push(stream));
        const note = (what: string) => () => void taken.push(`${name}${what}`);
        stream.listener = { ...IGNORED, onMessage: note(''), onHalfClose: note(' ends') };
      };
      const grpc = new GrpcServer({
        services: { method: unknownMethod, unary: () => undefined, stream: () => serve },
        receive: { maxBytes: 1 << 20, tooLarge: () => 'too large' },
        observer: UNOBSERVED,
      });
      const scene = await atOnce(new MemorySocket(), (stream) => void grpc.accept(stream));
      for (const id of [1, 3]) scene.memory.push(frame('HEADERS', END_HEADERS, id, fields));
      await until('they are served', () => streams.length === 2);
      return { ...scene, taken, streams };
    }

    test('that are read', async () => {
      using scene = await door();
      const { memory, taken } = scene;
      const read = Buffer.concat([full(1), full(1), full(3), full(3)]);
      for (let i = 0; i < 4; i++) memory.push(read);
      assert.equal(taken.length, 4 * perFrame);
      await until('all have come', () => taken.length === 16 * perFrame);
    });

    test('that were kept for streams that were paused', async () => {
      using scene = await door();
      const { memory, taken, streams } = scene;
      for (const stream of streams) stream.pause();
      for (const id of [1, 3]) memory.push(Buffer.concat([full(id), full(id), full(id, END_STREAM)]));
      await until('all is there', () =>
        scene.owner.streams.every(({ endStreamReceived }) => endStreamReceived),
      );
      assert.equal(taken.length, 0);
      for (const stream of streams) stream.resume();
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(taken.length, perFrame);
      await until('all have come', () => taken.length === 6 * perFrame + 2);
      for (const name of ['1', '2'])
        assert.deepEqual(
          taken.filter((each) => each.startsWith(name)),
          [...Array.from({ length: 3 * perFrame }, () => name), `${name} ends`],
        );
    });
  });

  test('changes windows, and makes room, without putting all streams in order, which would take far longer', async (t) => {
    using scene = await atOnce();
    const { memory, owner, connection } = scene;
    memory.push(Buffer.concat(ids(1, 100).map((id) => post(id))));
    await until('they are open', () => owner.streams.length === 100);
    const ordering = t.mock.method(IdTable.prototype, 'values');
    memory.push(raw.settings([4, 100_000]));
    const windows = owner.streams.map((stream) => (stream as Stream).sendWindow);
    assert.deepEqual([...new Set(windows)], [100_000]);
    // Of equal ones the youngest goes.
    assert.ok(connection.intake.refuse(1) > 0);
    assert.deepEqual(
      owner.streams.filter(({ closed }) => closed).map(({ id }) => id),
      [199],
    );
    assert.equal(ordering.mock.callCount(), 0);
  });
});
