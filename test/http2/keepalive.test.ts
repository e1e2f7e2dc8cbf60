/** Keepalive PINGs of the client role: whom they are announced to, streams beside, and a clock that was stopped. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeHeaders, requestAside } from '../../src/http2/index.ts';
import { until } from '../support/until.ts';
import { Exchange } from './support/exchange.ts';
import { OK } from './support/play.ts';
import * as raw from './support/raw-peer.ts';
import { type Scene, scene } from './support/scripted-server.ts';

const { ACK, END_HEADERS, END_STREAM, frame, settings, u32 } = raw;
const GET = encodeHeaders([':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a']);

/** Waits for a PING and answers it, with other frames before and after the answer. */
async function answerPing(play: Scene, before: Buffer[] = [], after: Buffer[] = []): Promise<void> {
  const ping = await play.peer.next((f) => f.type === 'PING' && f.flags !== ACK);
  assert.ok(ping, 'a PING came');
  play.peer.send(...before, frame('PING', ACK, 0, ping.payload), ...after);
}

/** Sets what the owner of the connection says to PINGs. */
function onKeepalive(play: Scene, answer: (quiet: boolean) => boolean): void {
  Object.assign(play.owner, { onKeepalive: (_connection: unknown, quiet: boolean) => answer(quiet) });
}

describe('a PING is announced', () => {
  test('as quiet when no HEADERS and no DATA came after the answer to the last one', async () => {
    await using play = await scene({ keepaliveIntervalMs: 30 });
    const told: boolean[] = [];
    onKeepalive(play, (quiet) => {
      told.push(quiet);
      return true;
    });
    play.connection.request(GET, new Exchange(), true);
    const data = frame('DATA', 0, 1, [1]);
    await answerPing(play);
    await answerPing(play, [], [frame('HEADERS', END_HEADERS, 1, OK)]);
    await answerPing(play);
    await answerPing(play, [data]); // sent before the server saw the PING
    await answerPing(play, [], [frame('WINDOW_UPDATE', 0, 0, u32(1))]);
    await answerPing(play, [], [data]);
    await answerPing(play);
    assert.deepEqual(told, [false, true, false, true, true, true, false]);
  });

  test('and kept back when the owner says so', async () => {
    await using play = await scene({ keepaliveIntervalMs: 5, permitWithoutStream: true });
    let asked = 0;
    onKeepalive(play, () => {
      asked++;
      if (asked < 5) assert.ok(!play.peer.frames.some((f) => f.type === 'PING'));
      return asked >= 5;
    });
    await answerPing(play);
    assert.ok(asked >= 5);
    assert.deepEqual(play.owner.failures, []);
  });
});

describe('a stream beside the others', () => {
  test('does not call for PINGs, and does not hold up the end of the connection', async () => {
    for (const end of ['of the peer', 'of ours']) {
      await using play = await scene({ keepaliveIntervalMs: 5 });
      await play.owner.ready;
      const [aside, call] = [new Exchange(), new Exchange()];
      assert.ok(requestAside(play.connection, GET, aside));
      await play.peer.nextOf('HEADERS', 1);
      assert.equal(play.connection.openStreams, 0);
      await new Promise((resolve) => setTimeout(resolve, 40)); // nothing may happen
      assert.ok(!play.peer.frames.some((f) => f.type === 'PING'));
      play.connection.request(GET, call, true);
      await play.peer.nextOf('HEADERS', 3);
      if (end === 'of ours') play.connection.drain();
      else play.peer.send(frame('GOAWAY', 0, 0, Buffer.concat([u32(3), u32(0)])));
      await until('the connection ends', () => play.connection.draining);
      assert.deepEqual([aside.events, call.events], [[], []]);
      play.peer.send(frame('HEADERS', END_HEADERS | END_STREAM, 3, OK));
      await play.owner.closed;
      assert.deepEqual([call.code, aside.events, play.owner.error], [0, ['close'], undefined], end);
    }
  });

  test('leaves the last place to others, and gives its own back', async () => {
    await using play = await scene({}, settings([3, 2]));
    await play.owner.ready;
    const aside = requestAside(play.connection, GET, new Exchange());
    assert.ok(aside);
    assert.equal(requestAside(play.connection, GET, new Exchange()), undefined);
    assert.equal(play.connection.canOpenStream, true);
    aside.reset(0);
    play.connection.request(GET, new Exchange(), true);
    assert.equal(play.connection.openStreams, 1);
    assert.equal(requestAside(play.connection, GET, new Exchange()), undefined);
  });
});

test('an answer that came while the process stood still came in time', async () => {
  await using play = await scene({
    keepaliveIntervalMs: 20,
    keepaliveTimeoutMs: 300,
    permitWithoutStream: true,
  });
  for (let round = 0; round < 3; round++) {
    await answerPing(play);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
  }
  await answerPing(play);
  assert.deepEqual(play.owner.limits, []);
});
