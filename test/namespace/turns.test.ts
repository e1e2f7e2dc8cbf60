/**
 * Large messages within a namespace: rewritten in turns, once for all who get them, and nothing overtakes them on their
 * stream.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { type WatchResponse, WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import { type KeyFields, REPLY_FIELDS, REQUEST_FIELDS } from '../../src/etcd/key-fields.ts';
import { KV, Watch } from '../../src/etcd/methods.ts';
import { idField } from '../../src/etcd/watch-reply.ts';
import { namespacedStream } from '../../src/namespace/namespaced-stream.ts';
import { Prefix } from '../../src/namespace/prefix.ts';
import { NamespaceStats } from '../../src/namespace/stats.ts';
import { Translator } from '../../src/namespace/translator.ts';
import type { ServerStream, ServerStreamListener } from '../../src/rpc/contract.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { NO_STREAM_LISTENER } from '../../src/rpc/no-stream-listener.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { OK, RpcError, type Status } from '../../src/rpc/status.ts';
import { Fragments } from '../../src/watch/fragments.ts';
import { until } from '../support/until.ts';

const b = (text: string): Uint8Array => Buffer.from(text);
const prefix = new Prefix(b('t/'));
const ranged = REPLY_FIELDS.get(KV.Range) as KeyFields;
const watched = REPLY_FIELDS.get(Watch.Watch) as KeyFields;
const watching = REQUEST_FIELDS.get(Watch.Watch) as KeyFields;

const kvs = (count: number, before: string) =>
  Array.from({ length: count }, (_, i) => ({ key: b(`${before}key ${i}`), value: b('value') }));
const reply = (count: number, before = 't/'): Uint8Array =>
  toBinary(RangeResponseSchema, create(RangeResponseSchema, { kvs: kvs(count, before), count: 5n }));
const tail = (count: number, before = 't/'): Uint8Array =>
  toBinary(
    WatchResponseSchema,
    create(WatchResponseSchema, {
      header: { revision: 9n },
      events: kvs(count, before).map((kv) => ({ kv })),
    }),
  );

describe('a reply of very many keys', () => {
  test('lets others have their turn, and is what it is at once', async () => {
    const stats = new NamespaceStats();
    const translated = new Translator(prefix, stats).reply(reply(100_000), ranged, true);
    let turns = 0;
    let over = false;
    const count = (): void => {
      turns++;
      if (!over) setImmediate(count);
    };
    setImmediate(count);
    const done = await translated;
    over = true;
    assert.ok(translated instanceof Promise && turns > 5, `${turns} turns`);
    assert.equal(Buffer.compare(done, reply(100_000, '')), 0);
    assert.equal(stats.inTurns, 1);
  });

  test('is rewritten once, whoever asks meanwhile and afterwards', async () => {
    const stats = new NamespaceStats();
    const translator = new Translator(prefix, stats);
    const [large, small] = [reply(50_000), reply(100)];
    const [one, two] = [translator.reply(large, ranged, true), translator.reply(large, ranged, true)];
    // Another message while the first one is under way.
    const between = translator.reply(small, ranged, true);
    assert.ok(!(between instanceof Promise));
    assert.equal(await one, await two);
    assert.equal(translator.reply(large, ranged, true), await one);
    assert.equal(translator.reply(small, ranged, true), between);
    assert.deepEqual([stats.translated, stats.found], [2, 3]);
  });

  test('of which there are many takes no longer turns than one', async () => {
    const translator = new Translator(prefix, new NamespaceStats());
    const ended: number[] = [];
    const many = Array.from({ length: 10 }, async (_, i) => {
      await translator.reply(reply(20_000), ranged, true);
      ended.push(i);
    });
    const sole = translator.reply(reply(4000), ranged, true);
    assert.ok(sole instanceof Promise);
    await sole;
    // A part of each in its turn: who has least is first, and the others end in their order.
    assert.deepEqual(ended, []);
    await Promise.all(many);
    assert.deepEqual(ended, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('is kept within bounds, and for those of this turn in any case', async () => {
    const stats = new NamespaceStats();
    const translator = new Translator(prefix, stats);
    const kv = { key: b('t/a'), value: Buffer.alloc(5 << 20) };
    const huge = toBinary(RangeResponseSchema, create(RangeResponseSchema, { kvs: [kv] }));
    const done = translator.reply(huge, ranged, true);
    assert.equal(translator.reply(huge, ranged, true), done);
    await new Promise((resolve) => setImmediate(resolve));
    assert.notEqual(translator.reply(huge, ranged, true), done);
    assert.deepEqual([stats.translated, stats.found, stats.forgotten], [2, 1, 2]);
  });
});

test('what many clients get stands in memory of its own, so that no queue copies it for each of them', async () => {
  const translator = new Translator(prefix, new NamespaceStats());
  for (const message of [reply(2), reply(100), reply(20_000)]) {
    const done = await translator.reply(message, ranged, true);
    assert.equal(done.buffer.byteLength, done.length);
  }
});

test('fragments that many watchers get are rewritten once each', () => {
  const stats = new NamespaceStats();
  const translator = new Translator(prefix, stats);
  const whole = Buffer.from(tail(500));
  const watchers = Array.from({ length: 10 }, () => new Fragments(idField(7n), whole, 4096));
  let pieces = 0;
  for (let isOver = false; !isOver; ) {
    const rewritten = watchers.flatMap((fragments) => {
      const piece = fragments.take();
      return piece === undefined ? [] : [translator.reply(piece.events, watched, true)];
    });
    isOver = rewritten.length === 0;
    if (!isOver) pieces++;
    assert.ok(rewritten.every((one) => one === rewritten[0]));
  }
  assert.ok(pieces > 2);
  assert.deepEqual([stats.translated, stats.found], [pieces, 9 * pieces]);
});

/** A client of a stream that writes down what it is told. */
class Client implements ServerStream {
  listener: ServerStreamListener = NO_STREAM_LISTENER;
  readonly told: string[] = [];
  hasRoom = true;

  send(message: Uint8Array): boolean {
    const { events, created } = fromBinary(WatchResponseSchema, message) as WatchResponse;
    this.told.push(created ? 'created' : `${events.length} events`);
    assert.ok(
      events.every(({ kv }) =>
        Buffer.from(kv?.key ?? [])
          .toString()
          .startsWith('key'),
      ),
    );
    return this.hasRoom;
  }

  sendJoined(head: Uint8Array, rest: Uint8Array): boolean {
    return this.send(Buffer.concat([head, rest]));
  }

  end(status: Status): void {
    this.told.push(`end ${status.code}`);
  }

  sendHeaders(): void {
    this.told.push('headers');
  }

  hold(): void {
    // Nobody counts here.
  }

  pause(): void {
    this.told.push('pause');
  }

  resume(): void {
    this.told.push('resume');
  }
}

/** A service that writes down what it hears. */
class Service implements ServerStreamListener {
  readonly heard: string[] = [];

  onMessage(message: Uint8Array): void {
    this.heard.push(`${message.length} bytes`);
  }

  onHalfClose(): void {
    this.heard.push('half-close');
  }

  onDrain(): void {
    this.heard.push('drain');
  }

  onCancel(): void {
    this.heard.push('cancel');
  }
}

function open() {
  const [client, service] = [new Client(), new Service()];
  let stream: ServerStream | undefined;
  const translator = new Translator(prefix, new NamespaceStats());
  const handler = namespacedStream(
    (inner) => {
      stream = inner;
      inner.listener = service;
    },
    { request: watching, reply: watched, translator },
  );
  handler(client, new OwnCall(Watch.Watch, NO_METADATA, Number.POSITIVE_INFINITY));
  assert.ok(stream !== undefined);
  return { client, service, stream };
}

const created = toBinary(WatchResponseSchema, create(WatchResponseSchema, { created: true }));

describe('on a stream', () => {
  test('nothing overtakes what is rewritten in turns, and the service is told to wait', async () => {
    const { client, service, stream } = open();
    assert.equal(stream.sendJoined(Uint8Array.of(0x10, 1), tail(30_000)), false);
    assert.equal(stream.send(created), false);
    assert.equal(stream.sendJoined(new Uint8Array(0), tail(2)), false);
    assert.deepEqual(client.told, []);
    await until('all is sent', () => client.told.length === 3);
    assert.deepEqual(client.told, ['30000 events', 'created', '2 events']);
    await until('it may go on', () => service.heard.includes('drain'));
    assert.equal(stream.send(created), true);
    stream.end(OK);
    assert.deepEqual(client.told.slice(3), ['created', 'end 0']);
  });

  test('whose client takes no more, it goes on when the client does', async () => {
    const { client, service, stream } = open();
    client.hasRoom = false;
    stream.send(tail(30_000));
    await until('it is sent', () => client.told.length === 1);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(service.heard, []);
    client.hasRoom = true;
    client.listener.onDrain();
    assert.deepEqual(service.heard, ['drain']);
  });

  test('the end waits too', async () => {
    const { client, stream } = open();
    stream.send(tail(30_000));
    stream.end(new RpcError(14, 'over'));
    assert.deepEqual(client.told, []);
    await until('it ends', () => client.told.length === 2);
    assert.deepEqual(client.told, ['30000 events', 'end 14']);
  });

  test('that its client leaves meanwhile, nothing follows', async () => {
    const { client, service, stream } = open();
    stream.send(tail(30_000));
    client.listener.onCancel();
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([client.told, service.heard], [[], ['cancel']]);
  });

  test('a request of very many fields has the others wait behind it, and the client paused', async () => {
    const { client, service } = open();
    const unknown = Buffer.alloc(100_000, Buffer.of(0x78, 1));
    client.listener.onMessage(unknown);
    client.listener.onMessage(Uint8Array.of(0x0a, 0));
    client.listener.onHalfClose();
    assert.deepEqual([service.heard, client.told], [[], ['pause']]);
    await until('all is heard', () => service.heard.length === 3);
    // A watch without a key is one of the least key.
    assert.deepEqual(service.heard, ['100000 bytes', '7 bytes', 'half-close']);
    assert.deepEqual(client.told, ['pause', 'resume']);
  });

  test('a reply that cannot be rewritten ends it, on both sides', () => {
    const { client, service, stream } = open();
    stream.send(tail(2, 'outside/'));
    assert.deepEqual([client.told, service.heard], [['end 13'], ['cancel']]);
  });
});
