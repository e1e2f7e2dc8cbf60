/**
 * The store of a mirror against a plain list of everything that ever happened: what it says of every range at every
 * revision it claims to know, what it forgets, and what it says that it holds.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Store } from '../../src/mvcc/store.ts';
import { Version } from '../../src/mvcc/version.ts';
import { Walk } from '../../src/mvcc/walk.ts';
import { Work } from '../../src/mvcc/work.ts';

/** A change of a key: its value, or none for a deletion. */
interface Change {
  readonly key: string;
  readonly revision: number;
  readonly value: string | undefined;
}

const START = 10;
const END = '\u0100';

function put({ key, revision, value }: Change): Version {
  return new Version(key, revision, revision, 1, `${key}=${value}`);
}

/** What there is at a revision, worked out from all changes. */
function stateAt(changes: readonly Change[], revision: number, start: string, end: string): string[] {
  const state = new Map<string, Change>();
  for (const change of changes) if (change.revision <= revision) state.set(change.key, change);
  return [...state.values()]
    .filter(({ key, value }) => value !== undefined && key >= start && key < end)
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ key, value }) => `${key}=${value}`);
}

function collect(store: Store, start: string, end: string, revision: number, limit = Infinity) {
  const walk = new Walk(start, end, revision, limit);
  const work = new Work();
  while (!store.collect(walk, work)) work.next();
  return { total: walk.total, fields: walk.found.map(({ field }) => field) };
}

const key = fc.integer({ min: 0, max: 1500 }).map((n) => String(n).padStart(4, '0'));
const step = fc.record({
  key,
  count: fc.constantFrom(1, 1, 3, 700),
  kind: fc.constantFrom('put', 'put', 'delete', 'same key'),
});

/** Runs steps; each is a revision that changes some neighbouring keys. Returns all changes. */
function run(store: Store, steps: readonly { key: string; count: number; kind: string }[], bytes: number) {
  const changes: Change[] = [];
  for (const { key: first, count, kind } of steps) {
    const revision = store.applied + 1;
    const present = new Set(stateAt(changes, revision, '', END).map((field) => field.split('=')[0]));
    for (let i = 0; i < (kind === 'same key' ? 1 : count); i++) {
      const name = kind === 'same key' ? '0007' : String(Number(first) + i).padStart(4, '0');
      if (kind === 'delete') {
        store.delete(name, revision);
        if (present.has(name)) changes.push({ key: name, revision, value: undefined });
      } else {
        const change = { key: name, revision, value: `${revision}` };
        store.put(put(change));
        changes.push(change);
      }
    }
    store.applied = revision;
    store.trim(bytes);
  }
  return changes;
}

test('every range at every revision from the floor on is what the changes add up to', () => {
  const runs = Number(process.env.MIRROR_RUNS ?? 60);
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 1, maxLength: 25 }),
      fc.constantFrom(3, 8, 1000),
      fc.array(fc.tuple(key, key), { minLength: 3, maxLength: 3 }),
      (steps, maxRevisions, ranges) => {
        const store = new Store(START, maxRevisions);
        const changes = run(store, steps, Infinity);
        assert.ok(store.applied - store.floor <= Math.max(maxRevisions, steps.length));
        for (let revision = store.floor; revision <= store.applied; revision++) {
          for (const [start, end] of [...ranges, ['', END] as const]) {
            const state = stateAt(changes, revision, start, end);
            assert.deepEqual(collect(store, start, end, revision), { total: state.length, fields: state });
            const cut = collect(store, start, end, revision, 2);
            assert.deepEqual(cut, { total: state.length, fields: state.slice(0, 2) });
            const [one] = stateAt(changes, revision, start, `${start}\0`);
            assert.equal(store.get(start, revision, new Work())?.field, one);
          }
        }
        assert.equal(store.keys, stateAt(changes, store.applied, '', END).length);
      },
    ),
    { numRuns: runs },
  );
});

test('a change in a range is never denied, also when the floor has passed it', () => {
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 1, maxLength: 15 }),
      fc.array(step, { minLength: 1, maxLength: 15 }),
      fc.array(fc.tuple(key, key), { minLength: 5, maxLength: 5 }),
      (before, after, ranges) => {
        const store = new Store(START, 2);
        const changes = run(store, before, Infinity);
        const then = store.applied;
        changes.push(...run(store, after, Infinity));
        for (const [start, end] of ranges) {
          const changed = changes.some(
            (change) => change.revision > then && change.key >= start && change.key < end,
          );
          if (changed) assert.ok(store.changedSince(start, end, then), `${start} ${end}`);
        }
        assert.ok(!store.changedSince('', END, store.applied));
      },
    ),
    { numRuns: Number(process.env.MIRROR_RUNS ?? 60) },
  );
});

test('bytes are those of the versions held, and go down to those of the present state', () => {
  const store = new Store(START, 1000);
  for (let i = 0; i < 2000; i++)
    store.load(put({ key: `a${String(i).padStart(5, '0')}`, revision: 5, value: 'x' }));
  const loaded = store.bytes;
  for (let revision = 11; revision <= 60; revision++) {
    store.put(put({ key: 'a00007', revision, value: `${revision}` }));
    store.delete(`a0${revision}00`, revision);
    store.applied = revision;
  }
  assert.ok(store.bytes > loaded);
  assert.equal(store.floor, START);
  store.trim(0);
  assert.equal(store.floor, 60);
  const walk = new Walk('', END, store.applied, Infinity);
  assert.ok(store.collect(walk, new Work()));
  const all = walk.found;
  assert.equal(
    store.bytes,
    all.reduce((sum, { cost }) => sum + cost, 0),
  );
  assert.equal(store.keys, all.length);
});
