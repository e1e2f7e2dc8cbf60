/** Answers to PINGs: they go with what is sent next, or by themselves a few milliseconds later. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import { encodeHeaders, Http2Connection } from '../../src/http2/index.ts';
import { Exchange, Owner } from './support/exchange.ts';
import { MemorySocket } from './support/memory-socket.ts';
import { OK } from './support/play.ts';
import * as raw from './support/raw-peer.ts';

const { ACK, END_HEADERS, END_STREAM, frame } = raw;
const GET = encodeHeaders([':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a']);
/** Longer than an answer waits. Milliseconds. */
const LONG_ENOUGH = 10;

const ping = (payload: string): Buffer => frame('PING', 0, 0, Buffer.from(payload, 'latin1'));
const answer = (payload: string): Buffer => frame('PING', ACK, 0, Buffer.from(payload, 'latin1'));

/** A server whose writes are looked at one by one; time passes when the test says so. */
class Scene implements Disposable {
  readonly owner = new Owner((stream) => {
    stream.listener = new Exchange();
  });
  readonly memory = new MemorySocket(true);
  readonly connection = new Http2Connection(this.memory.socket, 'server', this.owner);

  static async begin(): Promise<Scene> {
    const scene = new Scene();
    await scene.writes(raw.MAGIC, raw.settings());
    return scene;
  }

  /** What the server writes in the turns after this input. */
  async writes(...input: Buffer[]): Promise<Buffer[]> {
    const { written } = this.memory;
    written.length = 0;
    if (input.length > 0) this.memory.push(Buffer.concat(input));
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    return [...written];
  }

  [Symbol.dispose](): void {
    this.connection.destroy();
    this.memory.destroy();
  }
}

describe('the answer to a PING', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
  afterEach(() => mock.timers.reset());

  test('goes with what is sent next, in the same write', async () => {
    using scene = await Scene.begin();
    assert.deepEqual(await scene.writes(frame('HEADERS', END_HEADERS | END_STREAM, 1, GET)), []);
    assert.deepEqual(await scene.writes(ping('12345678')), []);
    scene.owner.streams[0]?.sendHeaders(OK, true);
    const reply = frame('HEADERS', END_HEADERS | END_STREAM, 1, OK);
    assert.deepEqual(await scene.writes(), [Buffer.concat([reply, answer('12345678')])]);
    mock.timers.tick(LONG_ENOUGH);
    assert.deepEqual(await scene.writes(), []);
  });

  test('goes by itself when nothing else does', async () => {
    using scene = await Scene.begin();
    using other = await Scene.begin();
    for (const payload of ['12345678', '\xff\xff234567']) {
      assert.deepEqual(await scene.writes(ping(payload)), []);
      assert.deepEqual(await other.writes(ping(payload)), []);
      mock.timers.tick(LONG_ENOUGH);
      const [one, two] = await Promise.all([scene.writes(), other.writes()]);
      assert.deepEqual([one, two], [[answer(payload)], [answer(payload)]]);
    }
  });

  test('is no secret from whoever asks twice: both are answered at once, in order', async () => {
    using scene = await Scene.begin();
    assert.deepEqual(await scene.writes(ping('first...')), []);
    const both = Buffer.concat([answer('first...'), answer('second..')]);
    assert.deepEqual(await scene.writes(ping('second..')), [both]);
    assert.deepEqual(await scene.writes(ping('third...'), ping('fourth..')), [
      Buffer.concat([answer('third...'), answer('fourth..')]),
    ]);
  });

  test('does not wait on a connection that is going away, nor is it missed on one that has gone', async () => {
    using scene = await Scene.begin();
    await scene.writes(frame('HEADERS', END_HEADERS | END_STREAM, 1, GET));
    scene.connection.drain();
    await scene.writes();
    assert.deepEqual(await scene.writes(ping('12345678')), [answer('12345678')]);
    using gone = await Scene.begin();
    await gone.writes(ping('12345678'));
    gone.connection.destroy();
    await gone.writes();
    mock.timers.tick(LONG_ENOUGH);
    assert.deepEqual(await gone.writes(), []);
  });
});
