/** What a body of JSON values costs while it comes: objects that are kept, bytes that are counted, turns of the event loop. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { queryObjects } from 'node:v8';
import { methodAt } from '../../src/web/gateway/paths.ts';
import { GatewayReader } from '../../src/web/gateway/reader.ts';
import { JsonValues } from '../../src/web/json-values.ts';
import { WebRequest } from '../../src/web/request-memory.ts';

const MANY = 20_000;
const WATCH = methodAt('/v3/watch') ?? assert.fail('no watch');

async function* body(parts: Iterable<string>): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

const times = (count: number, part: string): string[] => Array.from({ length: count }, () => part);

const reader = (): GatewayReader => new GatewayReader(WATCH, 1 << 20, () => new AbortController().signal, {});

/** How many turns of the event loop pass until it settles. */
async function turnsOf(work: Promise<unknown>): Promise<number> {
  let turns = 0;
  let over = false;
  const count = (): void => {
    if (over) return;
    turns++;
    setImmediate(count);
  };
  setImmediate(count);
  try {
    await work;
  } finally {
    over = true;
  }
  return turns;
}

/** A place to count what is held. */
function counted(): { held: WebRequest; sum: () => number } {
  let sum = 0;
  const take = (bytes: number): boolean => {
    sum += bytes;
    return true;
  };
  const give = (bytes: number): void => {
    sum -= bytes;
  };
  return { held: new WebRequest({ take, give, end: () => {} }), sum: () => sum };
}

describe('many values', () => {
  test('are not made before they are wanted', () => {
    const values = new JsonValues();
    const [first] = values.push(Buffer.from('{} {"a":'));
    assert.equal(first?.length, 2);
    assert.equal(values.pending, 0, 'nothing behind the first one was looked at');
  });

  const bodies: readonly (readonly [string, readonly string[], number])[] = [
    ['in one part', ['{}'.repeat(MANY)], MANY],
    ['one in each part', times(MANY, '{}'), MANY],
    ['none at all, in many parts', times(MANY, '\n'), 0],
    ['none at all, in one part', [' '.repeat(4 << 20)], 0],
    ['large ones', [`{"unknown":"${'a'.repeat(50_000)}"}`.repeat(100)], 100],
  ];
  for (const [name, parts, expected] of bodies)
    test(`leave turns to others: ${name}`, async () => {
      let values = 0;
      const turns = await turnsOf(
        (async () => {
          for await (const _ of reader().all(body(parts), undefined)) values++;
        })(),
      );
      assert.equal(values, expected);
      assert.ok(turns >= 50, `${turns} turns`);
    });
});

describe('what is kept', () => {
  test('white space between values is not', () => {
    const values = new JsonValues();
    for (const part of times(1000, ' \n')) assert.deepEqual([...values.push(Buffer.from(part))], []);
    assert.equal(values.pending, 0);
    assert.equal(values.rest(), undefined);
  });

  test('a value in many parts is one piece of memory', () => {
    const values = new JsonValues();
    for (const part of ['[', ...times(MANY, ' '), ...times(MANY, '1,')]) {
      assert.deepEqual([...values.push(Buffer.from(part))], []);
    }
    assert.equal(values.pending, 1 + 3 * MANY);
    const kept = queryObjects(Uint8Array, { format: 'count' });
    assert.ok(kept < MANY / 10, `${kept} pieces`);
    const [whole] = values.push(Buffer.from('2]'));
    assert.equal(whole?.length, 3 + 3 * MANY);
  });

  test('the only message of a client in many parts is one piece of memory', async () => {
    let kept = MANY;
    async function* parts(): AsyncGenerator<Uint8Array> {
      yield* body(['{', ...times(MANY, ' ')]);
      kept = queryObjects(Uint8Array, { format: 'count' });
      yield* body(['}']);
    }
    assert.equal((await reader().first(parts())).length, 0);
    assert.ok(kept < MANY / 10, `${kept} pieces`);
  });

  test('is counted as long as it is, and no longer', async () => {
    const { held, sum } = counted();
    async function* parts(): AsyncGenerator<Uint8Array> {
      for (const part of [' {} ', '\n\n', '{"create', '_request":', '{}} {}{', '}', '\n', '  ']) {
        held.body(part.length);
        yield Buffer.from(part);
      }
      assert.equal(sum(), 0, 'all values were taken');
      held.body(4);
      yield Buffer.from(' {"a');
      assert.equal(sum(), 6, 'what has begun of a value');
    }
    const read = async (): Promise<void> => {
      for await (const _ of reader().all(parts(), held)) assert.ok(sum() > 0);
    };
    await assert.rejects(read(), /JSON/);
    assert.equal(sum(), 0, 'nothing after the end');
  });
});
