/** Which endpoints are used, of those that several sources know: by sources that a test moves by hand. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { FoundEndpoints } from '../../src/endpoints/found-endpoints.ts';
import { KnownEndpoints, type KnownOptions, MAX_ENDPOINTS } from '../../src/endpoints/known-endpoints.ts';
import { type Endpoint, parseEndpoint } from '../../src/net/endpoint.ts';
import { until } from '../support/until.ts';
import { namesOf, Observed } from './observed.ts';

const list = (...names: string[]): Endpoint[] => names.map(parseEndpoint);

/** Knows what it is told. */
class Moved implements FoundEndpoints {
  readonly name = 'moved';
  endpoints: readonly Endpoint[] = [];
  looked = false;
  #onChanged: () => void = () => {};

  start(onChanged: () => void): void {
    this.#onChanged = onChanged;
  }

  close(): void {
    this.#onChanged = () => {};
  }

  knows(...names: string[]): void {
    this.endpoints = list(...names);
    this.looked = true;
    this.#onChanged();
  }
}

function join(options: Partial<KnownOptions> = {}) {
  const observer = new Observed();
  const known = new KnownEndpoints({
    fixed: [],
    found: [],
    synced: undefined,
    decide: (endpoint) => endpoint,
    inUse: () => undefined,
    observer,
    ...options,
  });
  let told = 0;
  return {
    known,
    observer,
    get told() {
      return told;
    },
    get names() {
      return namesOf(known.endpoints);
    },
    /** Starts it, and waits until it may tell. */
    async start() {
      known.start(() => told++);
      assert.equal(told, 0, 'nothing is told within the call');
      await Promise.resolve();
      told = 0;
    },
    [Symbol.dispose]: () => known.close(),
  };
}

describe('endpoints of several sources', () => {
  test('those that were written down are there at once where nobody looks for others', async () => {
    using joined = join({ fixed: list('a:1', 'b:1') });
    assert.deepEqual(joined.names, ['a:1', 'b:1']);
    await joined.start();
    assert.deepEqual(joined.observer.used, ['a:1 b:1']);
  });

  test('what is found goes before what was written down, which waits until all have looked', async () => {
    const [one, other] = [new Moved(), new Moved()];
    using joined = join({ fixed: list('a:1'), found: [one, other] });
    await joined.start();
    assert.deepEqual(joined.names, []);
    one.knows();
    assert.deepEqual(joined.names, []);
    other.knows();
    assert.deepEqual(joined.names, ['a:1']);
    one.knows('b:1', 'c:1');
    assert.deepEqual(joined.names, ['b:1', 'c:1']);
    other.knows('c:1', 'd:1');
    assert.deepEqual(joined.names, ['b:1', 'c:1', 'd:1']);
    assert.equal(joined.told, 3);
    other.knows('d:1', 'c:1');
    assert.equal(joined.told, 3, 'another order is no change');
  });

  test('an endpoint that stays is the same object, however it is written', async () => {
    const one = new Moved();
    using joined = join({ found: [one] });
    await joined.start();
    one.knows('http://h:1', 'b:1');
    const [first] = joined.known.endpoints;
    one.knows('c:1', 'h:1');
    assert.equal(joined.known.endpoints[1], first);
    one.knows('https://h:1');
    assert.notEqual(joined.known.endpoints[0], first, 'with TLS it is another one');
  });

  test("the cluster's own word goes before all, and nothing follows when nobody may tell any more", async () => {
    const [found, synced] = [new Moved(), new Moved()];
    using joined = join({ fixed: list('a:1'), found: [found], synced });
    await joined.start();
    found.knows('b:1');
    synced.knows('http://m0:1', 'http://m1:1');
    assert.deepEqual(joined.names, ['http://m0:1', 'http://m1:1']);
    found.knows('c:1');
    assert.equal(joined.told, 2);
    joined.known.close();
    synced.knows('http://m2:1');
    assert.equal(joined.told, 2);
  });

  test('when nobody answers, all that is known is tried, until the list is another one', async () => {
    const left = parseEndpoint('a:1');
    const synced = new Moved();
    // The one that was left goes on serving meanwhile.
    using joined = join({ fixed: list('a:1'), synced, inUse: () => left });
    await joined.start();
    synced.knows('http://m0:1');
    assert.deepEqual(joined.names, ['http://m0:1']);
    await until('all are tried', () => joined.names.length === 2);
    assert.equal(joined.observer.used.at(-1), '*a:1 http://m0:1');
    synced.knows('http://m0:1');
    assert.deepEqual(joined.names, ['a:1', 'http://m0:1']);
    synced.knows('http://m1:1');
    assert.deepEqual(joined.names, ['http://m1:1']);
  });

  test('of more than are followed, those stay that are, in whatever order they are told', async () => {
    const one = new Moved();
    using joined = join({ found: [one] });
    await joined.start();
    const many = (from: number): string[] =>
      Array.from({ length: 2 * MAX_ENDPOINTS }, (_, at) => `h:${from + at}`);
    one.knows(...many(1));
    const before = joined.names;
    one.knows(...many(2).reverse());
    assert.equal(joined.known.endpoints.length, MAX_ENDPOINTS);
    const gone = before.filter((name) => !joined.names.includes(name));
    assert.deepEqual(gone, ['h:1'], 'only the one that is in the list no more');
  });

  test('what was written down is tried when nobody of more than are followed answers', async () => {
    const [one, synced] = [new Moved(), new Moved()];
    using joined = join({ fixed: list('a:1'), found: [one], synced });
    await joined.start();
    one.knows('b:1');
    synced.knows(...Array.from({ length: MAX_ENDPOINTS + 7 }, (_, at) => `h:${at + 1}`));
    assert.equal(joined.known.endpoints.length, MAX_ENDPOINTS);
    await until('all are tried', () => joined.names.includes('a:1'));
    assert.ok(joined.names.includes('b:1'));
    assert.equal(joined.known.endpoints.length, MAX_ENDPOINTS);
  });

  test('flags about TLS hold for what is found, and there is a bound', async () => {
    const one = new Moved();
    const decide = (endpoint: Endpoint) =>
      endpoint.scheme === 'http' ? undefined : { ...endpoint, secure: true };
    using joined = join({ fixed: list('f:1'), found: [one], decide });
    await joined.start();
    one.knows('http://a:1', 'https://b:1', 'c:1');
    assert.deepEqual(
      joined.known.endpoints.map(({ name, secure }) => [name, secure]),
      [
        ['https://b:1', true],
        ['c:1', true],
      ],
    );
    assert.match(joined.observer.leftOut[0] ?? '', /^1: --insecure-transport=false/);
    one.knows('http://a:1');
    assert.deepEqual(joined.names, ['f:1'], 'what is not allowed is as good as nothing');
    one.knows(...Array.from({ length: MAX_ENDPOINTS + 7 }, (_, at) => `h:${at + 1}`));
    assert.equal(joined.known.endpoints.length, MAX_ENDPOINTS);
    assert.match(joined.observer.leftOut.at(-1) ?? '', /^7: only 100 endpoints/);
  });
});
