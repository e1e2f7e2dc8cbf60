/** What goes out on a client's watch stream, and in what order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { idField } from '../../src/etcd/watch-reply.ts';
import type { ServerStream } from '../../src/rpc/contract.ts';
import { ClientOutput } from '../../src/watch/client-output.ts';
import { response } from './responses.ts';

/** A client that takes so many messages, and what it was sent: replies, and events with their size. */
function placed(room: number) {
  const sent: (string | number)[] = [];
  let left = room;
  const client: Partial<ServerStream> = {
    send: (message) => {
      sent.push(Buffer.from(message).toString());
      return --left > 0;
    },
    sendJoined: (_, tail) => {
      sent.push(tail.length);
      return --left > 0;
    },
  };
  let ready = 0;
  const output = new ClientOutput(client as ServerStream, {
    onReady: () => void ready++,
    onFault: (error) => assert.fail(String(error)),
  });
  const drain = (more: number): void => {
    left = more;
    output.onDrain();
  };
  return { sent, output, drain, ready: () => ready };
}

test('fragments come one after the other as the client reads, and nothing between them', async () => {
  const { sent, output, drain, ready } = placed(1);
  output.sendFragments(idField(1n), Buffer.from(response([1, 2, 3], 5000)), 2500);
  output.send(Buffer.from('a reply'));
  assert.deepEqual([sent.length, output.blocked], [1, true]);
  drain(1);
  assert.deepEqual([sent.length, output.blocked, ready()], [2, true, 0]);
  drain(9);
  await turn();
  assert.deepEqual([sent.length, sent[3], output.blocked, ready()], [4, 'a reply', false, 1]);
});

test('no more than 4 MiB of them are sent in a turn', async () => {
  const { sent, output } = placed(1000);
  output.sendFragments(idField(1n), Buffer.from(response([1, 2, 3, 4, 5, 6], 2 << 20)), 1 << 20);
  assert.deepEqual([sent.length, output.blocked], [2, true]);
  await turn();
  assert.equal(sent.length, 4);
  await turn();
  await turn();
  assert.deepEqual([sent.length, output.blocked], [6, false]);
});

test('while something is made for a watcher nothing else goes out, and then whoever waits is told', async () => {
  const { output, drain, ready } = placed(9);
  output.onMaking();
  assert.equal(output.blocked, true);
  drain(9);
  assert.deepEqual([output.blocked, ready()], [true, 0]);
  output.onMade();
  assert.deepEqual([output.blocked, ready()], [false, 0]);
  await turn();
  assert.equal(ready(), 1);
});
