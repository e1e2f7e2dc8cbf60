/**
 * A protocol that is not Connect on the calls and streams of the web door: lines of text, one for each reply. The request
 * is a body of plain bytes.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ITSELF } from '../../src/rpc/client.ts';
import type { Services, StreamHandler, UnaryHandler } from '../../src/rpc/contract.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { NO_STREAM_LISTENER } from '../../src/rpc/no-stream-listener.ts';
import { Code, OK, RpcError } from '../../src/rpc/status.ts';
import { WebCall } from '../../src/web/call.ts';
import { WebOutlet } from '../../src/web/outlet.ts';
import { WebStream } from '../../src/web/stream.ts';
import { methodAt } from '../support/methods.ts';
import { Recorder } from './support.ts';

const RANGE = '/etcdserverpb.KV/Range';
const WATCH = '/etcdconnect.v1.Browser/Watch';

function callTo(path: string): { call: WebCall; observer: Recorder } {
  const observer = new Recorder();
  return {
    call: new WebCall(
      methodAt(path),
      { client: ITSELF, authority: '', outlet: new WebOutlet() },
      NO_METADATA,
      observer,
    ),
    observer,
  };
}

function serving(unary: UnaryHandler | undefined, stream?: StreamHandler): Services {
  return {
    method: methodAt,
    unary: () => unary,
    stream: () => stream ?? assert.fail('no stream'),
  };
}

/** The line of a unary reply, or of what became of it. */
async function line(call: WebCall, services: Services, request: () => Uint8Array): Promise<string> {
  try {
    const reply = await call.ask(services, request);
    call.onSent();
    call.finish(Code.OK);
    return Buffer.from(reply).toString();
  } catch (thrown) {
    const { code, message } = call.fail(thrown);
    return `${code} ${message}`;
  }
}

/** The lines of a stream; the last one says how it ended. */
async function* lines(call: WebCall, services: Services, request: () => Uint8Array): AsyncGenerator<string> {
  const stream = new WebStream(call, 8);
  try {
    stream.ask(services, request);
    for (let reply = await stream.next(); reply; reply = await stream.next())
      yield Buffer.from(reply).toString();
    yield 'end';
  } catch (thrown) {
    const error = call.fail(thrown);
    stream.cancel(error);
    yield `${error.code} ${error.message}`;
  }
}

const hello = (): Uint8Array => Buffer.from('hello');
const echo = serving((request) => Buffer.from(`${Buffer.from(request)}!`));

test('a call is answered', async () => {
  const { call, observer } = callTo(RANGE);
  call.begin(undefined);
  assert.equal(await line(call, echo, hello), 'hello!');
  assert.deepEqual(observer.events, ['started Range', 'received Range', 'sent Range', 'handled Range 0']);
});

test('errors, methods without a handler and faults get their status', async () => {
  const outcomes: [services: Services, line: string, faults: number][] = [
    [serving(() => Promise.reject(new RpcError(Code.OUT_OF_RANGE, 'compacted'))), '11 compacted', 0],
    [serving(undefined), '12 unknown method Range', 0],
    [serving(() => assert.fail('secret')), '13 etcd-connect-proxy: internal error', 1],
  ];
  for (const [services, expected, faults] of outcomes) {
    const { call, observer } = callTo(RANGE);
    call.begin(undefined);
    assert.equal(await line(call, services, hello), expected);
    assert.equal(observer.faults.length, faults);
    assert.equal(observer.events.at(-1), `handled Range ${Number.parseInt(expected, 10)}`);
  }
});

test('a request that cannot be read reaches no service, and is refused once', async () => {
  const { call, observer } = callTo(RANGE);
  call.begin(undefined);
  call.refuse(new RpcError(Code.INVALID_ARGUMENT, 'no such field'));
  call.abandon();
  assert.equal(await line(call, echo, hello), '3 no such field');
  assert.deepEqual(observer.events, ['started Range', 'handled Range 3']);
});

test('a deadline that has passed while the request was read, told of or not', async () => {
  for (const told of [true, false]) {
    const { call, observer } = callTo(RANGE);
    call.begin(0);
    if (told) call.expire();
    assert.equal(await line(call, echo, hello), '4 context deadline exceeded');
    assert.deepEqual(observer.events, ['started Range', 'handled Range 4']);
  }
});

test('the end of a running call stops its work, and its client gets the first reason', async () => {
  const ends: [end: (call: WebCall) => void, line: string][] = [
    [(call) => call.expire(), '4 context deadline exceeded'],
    [(call) => call.abandon(), '1 context canceled'],
  ];
  for (const [end, expected] of ends) {
    const { call, observer } = callTo(RANGE);
    const stopped = Promise.withResolvers<Uint8Array>();
    const services = serving((_, { work: none }) => {
      assert.equal(none, undefined);
      call.work = { cancel: () => stopped.reject(new RpcError(Code.CANCELLED, 'abandoned')) };
      return stopped.promise;
    });
    call.begin(60_000);
    const answer = line(call, services, hello);
    end(call);
    call.abandon();
    call.refuse(new RpcError(Code.INVALID_ARGUMENT, 'too late'));
    assert.equal(await answer, expected);
    await assert.rejects(stopped.promise);
    assert.ok(call.cancelled);
    assert.equal(observer.events.filter((event) => event.startsWith('handled')).length, 1);
  }
});

test('an answer that was at hand is being converted when its client goes, or its deadline passes: no fault', async () => {
  for (const end of ['expire', 'abandon'] as const) {
    const { call, observer } = callTo(RANGE);
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', onUnhandled);
    call.begin(60_000);
    assert.equal(Buffer.from(await call.ask(echo, hello)).toString(), 'hello!');
    call[end]();
    // Node.js tells of a rejection that nobody handles when the turn is over.
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', onUnhandled);
    assert.deepEqual(unhandled, [], end);
    assert.ok(call.cancelled);
    assert.equal(observer.events.at(-1), `handled Range ${end === 'expire' ? 4 : 1}`);
  }
});

test('a stream is read at the pace of its client, and ends with its status', async () => {
  const { call, observer } = callTo(WATCH);
  let drained = 0;
  const services = serving(undefined, (client) => {
    client.listener = {
      ...NO_STREAM_LISTENER,
      onMessage: (message) => {
        assert.ok(client.send(message));
        assert.ok(!client.sendJoined(Buffer.from('and '), Buffer.from('more')));
      },
      onDrain: () => {
        drained++;
        client.end(OK);
      },
    };
  });
  call.begin(undefined);
  const seen: string[] = [];
  for await (const text of lines(call, services, hello)) {
    assert.equal(drained, seen.length === 0 ? 0 : 1);
    seen.push(text);
  }
  assert.deepEqual(seen, ['hello', 'and more', 'end']);
  assert.equal(drained, 1);
  assert.equal(observer.events.at(-1), 'handled Watch 0');
});

test('a stream whose client goes tells its service, once', async () => {
  const { call, observer } = callTo(WATCH);
  let cancelled = 0;
  const services = serving(undefined, (client) => {
    client.listener = {
      ...NO_STREAM_LISTENER,
      onMessage: (message) => void client.send(message),
      onCancel: () => cancelled++,
    };
  });
  call.begin(undefined);
  const read = lines(call, services, hello);
  assert.equal((await read.next()).value, 'hello');
  const next = read.next();
  call.abandon();
  call.expire();
  assert.equal((await next).value, '1 context canceled');
  assert.equal(cancelled, 1);
  assert.deepEqual(observer.events, ['started Watch', 'received Watch', 'sent Watch', 'handled Watch 1']);
});

test('a stream that was refused reaches no service', async () => {
  const { call } = callTo(WATCH);
  call.begin(undefined);
  call.refuse(new RpcError(Code.INVALID_ARGUMENT, 'no such field'));
  const read = lines(call, serving(undefined), hello);
  assert.equal((await read.next()).value, '3 no such field');
});

test('what waits for the client takes room until the response is closed', () => {
  const { call } = callTo(RANGE);
  call.hold(5 << 20);
  assert.ok(!call.outlet.room);
  call.close();
  assert.ok(call.outlet.room);
  call.hold(5 << 20);
  assert.ok(call.outlet.room);
});
