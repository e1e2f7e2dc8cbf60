/** Large replies on their way to clients: one after the other as there is room, counted once however many share them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReplyLines } from '../../src/grpc/reply-lines.ts';
import type { Http2Connection } from '../../src/http2/index.ts';
import { settle } from '../reads/held-upstream.ts';

const LIMIT = 1000;

/** As much of a connection as the lines see. */
class Connection {
  readonly settings = { maxQueuedBytes: LIMIT };
  closed = false;
  ended: string | undefined;
  readonly room = {
    free: true,
    wanted: undefined as (() => void) | undefined,
    whenFree: (callback: () => void) => {
      this.room.wanted = callback;
    },
  };

  overrun(limit: string): void {
    this.closed = true;
    this.ended = limit;
  }

  /** The end of a turn. */
  turn(): void {
    const { wanted } = this.room;
    this.room.wanted = undefined;
    if (this.room.free) wanted?.();
    else this.room.wanted = wanted;
  }
}

function lineOn(lines: ReplyLines, connection = new Connection()) {
  return { connection, line: lines.of(connection as unknown as Http2Connection) };
}

describe('waiting', () => {
  test('one in each turn in which there is room, in order; who leaves is passed over', () => {
    const { connection, line } = lineOn(new ReplyLines());
    const told: string[] = [];
    const waiter = (name: string) => ({ onRoom: () => void told.push(name) });
    const [a, b, c] = [waiter('a'), waiter('b'), waiter('c')];
    connection.room.free = false;
    assert.equal(line.room, false);
    for (const one of [a, b, c]) line.wait(one);
    connection.turn();
    assert.deepEqual(told, []);
    line.leave(b);
    connection.room.free = true;
    connection.turn();
    assert.deepEqual(told, ['a']);
    connection.turn();
    connection.turn();
    assert.deepEqual(told, ['a', 'c']);
  });
});

describe('bounds', () => {
  test('a reply that many calls share costs its bytes once', async () => {
    const lines = new ReplyLines();
    const { connection, line } = lineOn(lines);
    const shared = Buffer.alloc(600);
    for (let i = 0; i < 100; i++) line.hold(shared);
    await settle();
    assert.equal(lines.bytes, 600);
    assert.equal(connection.ended, undefined);
    for (let i = 0; i < 99; i++) line.release(shared);
    assert.equal(lines.bytes, 600);
    line.release(shared);
    assert.equal(lines.bytes, 0);
  });

  test('a connection with more than it may have is ended', async () => {
    const { connection, line } = lineOn(new ReplyLines());
    line.hold(Buffer.alloc(LIMIT));
    await settle();
    assert.equal(connection.ended, undefined);
    line.hold(Buffer.alloc(1));
    assert.equal(connection.ended, undefined, 'not from within a call');
    await settle();
    assert.equal(connection.ended, 'maxQueuedBytes');
  });

  test('with too much in all, the one that leaves most unread is ended', async () => {
    const lines = new ReplyLines();
    const all = [700, 900, 300].map((bytes) => {
      const one = lineOn(lines);
      one.line.hold(Buffer.alloc(bytes));
      return one;
    });
    await settle();
    const ended = () => all.map(({ connection }) => connection.ended !== undefined);
    assert.deepEqual(ended(), [false, false, false]);
    lineOn(lines).line.hold(Buffer.alloc(200));
    await settle();
    assert.deepEqual(ended(), [false, true, false]);
  });
});
