/**
 * Answers whose header fields are over the limit cost their own call, and not the connection that it shares with
 * everybody's: what one client asks must not cut the others off.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ErrorCode, encodeHeaders } from '../../src/http2/index.ts';
import { connect, Exchange, field } from '../http2/support/exchange.ts';
import { OK } from '../http2/support/play.ts';
import * as raw from '../http2/support/raw-peer.ts';
import { scene } from '../http2/support/scripted-server.ts';
import { availableEtcds } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { b, put, WatchCall } from '../support/watch-client.ts';
import { startSecureEtcd, toEtcd, usual } from '../tls/support.ts';

const { END_HEADERS, END_STREAM, frame } = raw;
const GET = encodeHeaders([':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a']);

/** An answer with so many fields of 1 000 octets, one of them put into the table of the peer. */
function longAnswer(id: number, fields: number): Buffer {
  const inserted = Buffer.concat([
    Buffer.from([0x40, 1]),
    Buffer.from('k'),
    Buffer.from([1]),
    Buffer.from('v'),
  ]);
  const many = encodeHeaders(Array.from({ length: fields }, () => ['x', 'y'.repeat(1000)]).flat());
  const block = Buffer.concat([OK, inserted, many]);
  const frames: Buffer[] = [];
  for (let at = 0; at < block.length; at += 16_384) {
    const last = at + 16_384 >= block.length ? END_HEADERS : 0;
    const part = block.subarray(at, at + 16_384);
    frames.push(
      at === 0 ? frame('HEADERS', last | END_STREAM, id, part) : frame('CONTINUATION', last, id, part),
    );
  }
  return Buffer.concat(frames);
}

describe('a server whose answer is far over the limit', () => {
  test('is not heard on that stream; the compression stays in step for the others', async () => {
    await using play = await scene({ maxHeaderListSize: 2000, maxResetsBurst: 5, maxResetsPerSecond: 1 });
    for (let id = 1; id < 40; id += 2) {
      const long = new Exchange();
      play.connection.request(GET, long, true);
      await play.peer.nextOf('HEADERS', id);
      play.peer.send(longAnswer(id, 20));
      await long.done;
      assert.deepEqual([long.code, long.events], [ErrorCode.ENHANCE_YOUR_CALM, ['close']]);
    }
    const next = new Exchange();
    play.connection.request(GET, next, true);
    await play.peer.nextOf('HEADERS', 41);
    play.peer.send(frame('HEADERS', END_HEADERS | END_STREAM, 41, Buffer.concat([OK, Buffer.from([0xbe])])));
    await next.done;
    assert.deepEqual([next.code, field(next.headers, 'k')], [0, 'v']);
  });

  test('loses the connection beyond all measure', async () => {
    await using play = await scene({ maxHeaderListSize: 2000 });
    play.connection.request(GET, new Exchange(), true);
    await play.peer.nextOf('HEADERS', 1);
    play.peer.send(longAnswer(1, 50));
    await play.owner.closed;
    assert.equal(play.owner.error?.code, ErrorCode.ENHANCE_YOUR_CALM);
  });
});

for (const install of await availableEtcds())
  test(`etcd ${install.version} with TLS quotes a client's request at length: nobody else notices`, async () => {
    const files = await usual();
    await using etcd = await startSecureEtcd(files, { install });
    await using proxy = await startProxy({ endpoints: etcd.urls, flags: toEtcd(files) });
    using client = new RawGrpcClient(proxy.address);
    const watch = new WatchCall(client);
    watch.create({ key: b('k') });
    assert.ok(await watch.next());
    // Not ASCII: etcd's error makes three octets of each.
    const path = `/${'\u00e9'.repeat(60_000)}/m`;
    const list = [':method', 'POST', ':scheme', 'http', ':path', path, ':authority', 'a'];
    const block = encodeHeaders([...list, 'te', 'trailers', 'content-type', 'application/grpc']);
    const other = connect(Number(proxy.address.split(':')[1]));
    await other.owner.ready;
    for (let i = 0; i < 3; i++) {
      const call = new Exchange();
      other.connection.request(block, call, false).sendData(Buffer.alloc(5), true);
      await call.done;
      assert.equal(field(call.headers, 'grpc-status') ?? field(call.trailers, 'grpc-status'), '8');
    }
    other.connection.destroy();
    await put(client, 'k', 'v');
    assert.equal((await watch.next())?.events.length, 1);
    watch.close();
    assert.ok(!proxy.process.stderr.includes('lost the connection'), proxy.process.stderr);
  });
