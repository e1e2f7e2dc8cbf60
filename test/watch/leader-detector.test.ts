/** Streams of clients that demand a leader, on an etcd that says what the test makes it say. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Backoff } from '../../src/rpc/backoff.ts';
import type { Call } from '../../src/rpc/contract.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { until } from '../support/until.ts';
import { b } from '../support/watch-client.ts';
import type { ScriptedClient } from './scripted-client.ts';
import { ScriptedHub } from './scripted-hub.ts';
import type { ScriptedStream } from './scripted-upstream.ts';

const DEMAND = ['hasleader', 'true'];
const NO_LEADER = new RpcError(Code.UNAVAILABLE, 'etcdserver: no leader');

/** A read that demands a leader, which the test answers. */
interface Asked {
  readonly call: Call;
  answer(): Promise<void>;
  refuse(error: RpcError): void;
}

/** A hub whose reads that demand a leader are kept back. */
class Place implements Disposable {
  readonly script = new ScriptedHub();
  readonly asked: Asked[] = [];
  readonly #streams = new Map<ScriptedStream, Call>();

  constructor() {
    const { upstream } = this.script;
    upstream.creates = true;
    const unary = upstream.unary.bind(upstream);
    const stream = upstream.stream.bind(upstream);
    upstream.unary = (request, call) => {
      if (call.metadata.get('hasleader') === undefined) return unary(request, call);
      const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
      const answer = async (): Promise<void> => resolve(await unary(request, call));
      this.asked.push({ call, answer, refuse: reject });
      return promise;
    };
    upstream.stream = (call, listener) => {
      const opened = stream(call, listener);
      this.#streams.set(opened as ScriptedStream, call);
      return opened;
    };
  }

  /** The streams on which etcd is to tell when there is no leader any more. */
  get detectors(): ScriptedStream[] {
    const all = [...this.#streams];
    return all.flatMap(([stream, call]) => (call.metadata.get('hasleader') === undefined ? [] : [stream]));
  }

  /** The streams of feeds. */
  get feeds(): Call[] {
    return [...this.#streams.values()].filter(({ metadata }) => metadata.get('hasleader') === undefined);
  }

  /** A client's stream with a watch. */
  watching(fields: readonly string[]) {
    const client = this.script.client(fields);
    client.watch({ key: b('a') });
    return client;
  }

  /** The question of an index, once it is asked. */
  async question(index: number): Promise<Asked> {
    await until('a question', () => this.asked.length > index);
    return this.asked[index] as Asked;
  }

  [Symbol.dispose](): void {
    this.script[Symbol.dispose]();
  }
}

/** How the streams of clients ended. */
const ends = (clients: readonly ScriptedClient[]) => clients.map(({ ending }) => ending?.message);

describe('streams that demand a leader', () => {
  test('nothing is answered before etcd knows a leader, and nobody else waits for that', async () => {
    using place = new Place();
    const demanding = place.watching(DEMAND);
    const other = place.watching([]);
    await until('the other', () => other.responses.length === 1);
    const question = await place.question(0);
    assert.equal(demanding.responses.length, 0);
    await question.answer();
    await until('the reply', () => demanding.responses.length === 1);
    demanding.watch({ key: b('b') });
    await until('the reply on a stream that runs', () => demanding.responses.length === 2);
    assert.equal(place.asked.length, 1);
  });

  test('without a leader they are refused, those that ask for nothing too', async () => {
    using place = new Place();
    const clients = [place.watching(DEMAND), place.script.client(DEMAND)];
    (await place.question(0)).refuse(NO_LEADER);
    await until('the ends', () => clients.every(({ ending }) => ending !== undefined));
    for (const { ending, responses } of clients) {
      assert.deepEqual([ending?.code, ending?.message], [NO_LEADER.code, NO_LEADER.message]);
      assert.equal(responses.length, 0);
    }
  });

  test('one question is for all that begin at a time, one stream for all that run, whoever they are', async () => {
    using place = new Place();
    const others = ['x', 'y', 'y'].map((token) => place.watching(['token', token, ...DEMAND]));
    const clients = [place.watching(DEMAND), ...others];
    await (await place.question(0)).answer();
    await until('the replies', () => clients.every(({ responses }) => responses.length === 1));
    assert.equal(place.asked.length, 1);
    assert.equal(place.detectors.length, 1);
    await until('three feeds', () => place.feeds.length === 3);
    for (const { call } of place.asked) assert.equal(call.metadata.get('token'), undefined);
    const tokens = place.feeds.map(({ metadata }) => metadata.get('token'));
    assert.deepEqual(tokens.sort(), ['x', 'y', undefined]);
    const late = place.watching(DEMAND);
    await (await place.question(1)).answer();
    await until('the reply', () => late.responses.length === 1);
    assert.equal(place.detectors.length, 1);
  });

  test('a refusal of who asks comes from a member that knows a leader', async () => {
    using place = new Place();
    const client = place.watching(['token', 'x', ...DEMAND]);
    const empty = new RpcError(Code.INVALID_ARGUMENT, 'etcdserver: user name is empty');
    (await place.question(0)).refuse(empty);
    await until('the reply', () => client.responses.length === 1);
    assert.equal(client.ending, undefined);
  });

  test('when the leader is lost they end, and nobody else; the last one takes the stream with it', async () => {
    using place = new Place();
    const demanding = [place.watching(DEMAND), place.watching(['token', 'x', ...DEMAND])];
    const others = [place.watching([]), place.watching(['token', 'x'])];
    await (await place.question(0)).answer();
    await until('the replies', () =>
      [...demanding, ...others].every(({ responses }) => responses.length === 1),
    );
    place.detectors[0]?.end(NO_LEADER);
    assert.deepEqual(ends(demanding), [NO_LEADER.message, NO_LEADER.message]);
    assert.deepEqual(ends(others), [undefined, undefined]);

    const last = place.watching(DEMAND);
    await (await place.question(1)).answer();
    await until('the reply', () => last.responses.length === 1);
    assert.equal(place.detectors.length, 2);
    assert.equal(place.detectors[1]?.cancelled, false);
    last.leave();
    assert.equal(place.detectors[1]?.cancelled, true);
  });

  test('a stream that is lost for another reason is opened again, and nobody notices', async () => {
    using place = new Place();
    const client = place.watching(DEMAND);
    await (await place.question(0)).answer();
    await until('the reply', () => client.responses.length === 1);
    place.detectors[0]?.end(new RpcError(Code.UNAVAILABLE, 'the connection is lost'));
    await until('another stream', () => place.detectors.length === 2);
    assert.deepEqual(ends([client]), [undefined]);
    place.detectors[1]?.end(NO_LEADER);
    assert.deepEqual(ends([client]), [NO_LEADER.message]);
  });

  test('after one that lived for long the next is not waited for as after many that failed', {
    timeout: 60_000,
  }, async (context) => {
    // No time passes but what the test has pass, so that it waits without a limit.
    let now = performance.now();
    context.mock.method(performance, 'now', () => now);
    const resets = context.mock.method(Backoff.prototype, 'reset');
    using place = new Place();
    place.watching(DEMAND);
    const lost = new RpcError(Code.UNAVAILABLE, 'lost');
    for (const [at, ms] of [0, 10_000].entries()) {
      await until('a stream', () => place.detectors.length > at);
      now += ms;
      place.detectors[at]?.end(lost);
      assert.equal(resets.mock.callCount(), at);
    }
  });

  test('one that is left to etcd, or gone, is asked for no more', async () => {
    using place = new Place();
    const gone = place.watching(DEMAND);
    const question = await place.question(0);
    gone.leave();
    assert.equal(place.detectors[0]?.cancelled, true);
    question.refuse(NO_LEADER);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(gone.ending, undefined);
  });
});
