/** Faults are counted, logged once in a while for each place, and reporting one never fails. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Faults } from '../../src/observe/faults.ts';
import { createLogger } from '../../src/observe/log.ts';
import { Throttles } from '../../src/observe/throttle.ts';

function recording(): { faults: Faults; lines: string[] } {
  const lines: string[] = [];
  const faults = new Faults(createLogger('info', { write: (line) => lines.push(line) }));
  return { faults, lines };
}

describe('faults', () => {
  test('of one place are logged once, whatever their message', () => {
    const { faults, lines } = recording();
    for (let n = 0; n < 3000; n++) faults.report(new Error(`number ${n}\nand more`));
    assert.deepEqual([faults.count, lines.length], [3000, 1]);
    assert.match(lines[0] ?? '', /"error":"Error: number 0.*faults\.test.*fault while serving/);
  });

  test('in a flood are counted, and few of their stacks are written down', () => {
    const { faults } = recording();
    let written = 0;
    const began = performance.now();
    for (let n = 0; n < 3000; n++) {
      const fault = new Error('flood');
      Object.defineProperty(fault, 'stack', { get: () => `Error: flood ${written++}` });
      faults.report(fault);
    }
    const seconds = Math.ceil((performance.now() - began) / 1000) + 1;
    assert.equal(faults.count, 3000);
    // Each that is looked at is asked twice: whether it has a stack, and for it.
    assert.ok(written > 0 && written <= 200 * seconds, `${written} in ${seconds} s`);
  });

  test('of another place are logged as well', () => {
    const { faults, lines } = recording();
    const fail = (text: string): unknown => JSON.parse(text);
    const others = [() => fail('{'), () => decodeURIComponent('%'), () => structuredClone(fail)];
    for (const other of [...others, ...others]) {
      try {
        other();
      } catch (error) {
        faults.report(error);
      }
    }
    assert.deepEqual([faults.count, lines.length], [6, 3]);
  });

  test('can be anything', () => {
    const { faults, lines } = recording();
    const hostile = new Error('hostile');
    Object.defineProperty(hostile, 'stack', {
      get() {
        throw new Error('no stack');
      },
    });
    const odd = [
      undefined,
      null,
      1n,
      Symbol('s'),
      'text',
      {},
      Object.create(null),
      hostile,
      new Proxy({}, {}),
    ];
    for (const thing of odd) faults.report(thing);
    assert.equal(faults.count, odd.length);
    assert.ok(lines.length >= 5);
  });

  test('are counted where the log itself fails', () => {
    const failing = createLogger('info', {
      write() {
        throw new Error('no log');
      },
    });
    const faults = new Faults(failing);
    faults.report(new Error('first'));
    assert.equal(faults.count, 1);
  });
});

describe('throttles', () => {
  test('count what they leave out, of each kind', (t) => {
    let now = 1000;
    t.mock.method(performance, 'now', () => now);
    const throttles = new Throttles(20);
    const written: [kind: string, suppressed: number | undefined][] = [];
    const line = (kind: string): void => throttles.line(kind, (n) => written.push([kind, n]));
    for (const kind of ['a', 'a', 'b', 'a']) line(kind);
    assert.deepEqual(written, [
      ['a', undefined],
      ['b', undefined],
    ]);
    now += 20;
    line('a');
    assert.deepEqual(written.at(-1), ['a', 2]);
  });

  test('know so many kinds and no more', () => {
    const throttles = new Throttles(60_000);
    let written = 0;
    for (let n = 0; n < 10_000; n++) throttles.line(`kind ${n}`, () => written++);
    assert.equal(written, 257);
  });
});
