/** Tables that hold what clients name: bounded in bytes, and nothing is taken for what it is not. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { callIdentityOf, clientIdentityOf } from '../../src/clients/identity.ts';
import { IdentityProbes } from '../../src/clients/identity-probes.ts';
import { Permissions } from '../../src/clients/permission.ts';
import type { ProbeResult } from '../../src/clients/probe.ts';
import { ProbeTable } from '../../src/clients/probes.ts';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { KeyRanges } from '../../src/etcd/key-ranges.ts';
import { BoundedTable } from '../../src/rpc/bounded-table.ts';
import { Metadata, NO_METADATA } from '../../src/rpc/metadata.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';

const MIB = 1 << 20;

/** A reply of etcd's to a read: a header with a revision. */
const REPLY = Uint8Array.of(0x0a, 2, 0x18, 7);

const tokenOf = (token: string) => clientIdentityOf(new Metadata(['token', token]));

/** Somebody who asks, and what they were told. */
class Asker {
  readonly askedStart = 0;
  readonly told = Promise.withResolvers<ProbeResult>();

  onProbed(result: ProbeResult): void {
    this.told.resolve(result);
  }
}

describe('a bounded table', () => {
  test('never holds more than it may, and forgets the least that it can', () => {
    const step = fc.record({
      key: fc.integer({ min: 0, max: 30 }),
      bytes: fc.integer({ min: 1, max: 60 }),
      remove: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const table = new BoundedTable<number>({ entries: 20, bytes: 640 });
        const sizes = new Map<string, number>();
        for (const { key, bytes, remove } of steps) {
          const name = String(key);
          const found = table.get(name);
          assert.ok(found === undefined || found === sizes.get(name), 'the value that was added');
          if (remove) table.delete(name);
          else if (found === undefined) {
            table.add(name, bytes, bytes);
            sizes.set(name, bytes);
            assert.equal(table.get(name), bytes > 40 ? undefined : bytes, 'kept, unless it is too large');
          }
          assert.ok(table.bytes <= 640 && table.size <= 20 && table.bytes >= 0, `${table.bytes}`);
        }
        for (const name of sizes.keys()) table.delete(name);
        assert.deepEqual([table.bytes, table.size], [0, 0]);
      }),
    );
  });

  test('what is used stays, whatever else comes', () => {
    const table = new BoundedTable<string>({ entries: 100, bytes: MIB });
    table.add('used', 'used', 100);
    for (let i = 0; i < 1000; i++) {
      table.add(`other ${i}`, '', 1000);
      assert.equal(table.get('used'), 'used');
    }
    assert.ok(table.forgotten > 800, 'and that others went was counted');
  });
});

describe('ranges', () => {
  const long = 'k'.repeat(MIB);

  test('have ids that are equal for equal ranges only, and short', () => {
    const keys = ['', '\0', 'a', 'ab', 'k'.repeat(600), 'k'.repeat(1023), 'k'.repeat(1024), long, `${long}k`];
    const ends = ['', '\0', 'b', ...keys.slice(2).map((key) => `${key}\0`), ...keys.slice(2)];
    const seen = new Map<string, KeyRange>();
    for (const key of keys)
      for (const end of ends) {
        const range = new KeyRange(key, end);
        assert.ok(range.id.length <= 1030);
        const other = seen.get(range.id) ?? range;
        assert.deepEqual([other.start, other.end, other.exact], [range.start, range.end, range.exact]);
        seen.set(range.id, range);
      }
    // An empty key is the least one, a key and the one behind it are that key, and `\0` ends nowhere.
    const same = keys.flatMap((key) => ends.map((end) => new KeyRange(key, end)));
    assert.equal(new Set(same.map((r) => `${r.exact} ${r.start} ${r.end}`)).size, seen.size);
  });

  test('are one object where they are short, and not remembered where they are long', () => {
    const ranges = new KeyRanges();
    assert.equal(ranges.of('a', 'b'), ranges.of('a', 'b'));
    const { bytes } = ranges;
    for (let i = 0; i < 100; i++) ranges.of(`${i}${long}`, `${i}${long}x`);
    assert.equal(ranges.bytes, bytes);
    for (let i = 0; i < 50_000; i++) ranges.of(`${i}`.padEnd(500), `${i}x`.padEnd(500));
    assert.ok(ranges.bytes <= 8 * MIB && ranges.bytes > 2 * MIB, `${ranges.bytes}`);
  });
});

describe('identities', () => {
  test('of shared calls are not worked out where they would be too long', () => {
    assert.equal(callIdentityOf(NO_METADATA, 0), '[]');
    const fields = Array.from({ length: 2000 }, () => 'name');
    for (const long of [['token', 'x'.repeat(MIB)], fields])
      assert.equal(callIdentityOf(new Metadata(long), 7000), undefined);
    assert.equal(callIdentityOf(new Metadata(['token', 'x']), 7000), '["token","x"]');
  });

  test('have ids that are equal for equal metadata only, and short', () => {
    const large = 'x'.repeat(MIB);
    const tokens = ['', 'x', large, `${large}x`, 'x'.repeat(1010), 'x'.repeat(1024)];
    const ids = new Set([clientIdentityOf(NO_METADATA).id, ...tokens.map((token) => tokenOf(token).id)]);
    assert.equal(ids.size, tokens.length + 1);
    assert.equal(tokenOf(large).id, tokenOf(large).id);
    assert.ok([...ids].every((id) => id.length <= 1024));
    assert.ok(tokenOf(large).bytes > MIB);
  });

  test('none is the beginning of another, so that a key cannot stand for a token', () => {
    const nobody = clientIdentityOf(NO_METADATA).id;
    const somebody = tokenOf('x').id;
    assert.notEqual(nobody + new KeyRange(`${somebody}k`, '').id, somebody + new KeyRange('k', '').id);
    for (const id of [somebody, tokenOf('x'.repeat(5000)).id])
      assert.ok(!id.startsWith(nobody) && !nobody.startsWith(id));
  });
});

describe('probes', () => {
  const large = (i: number): string => `${i}`.padEnd(500_000, 'k');

  test('of watches are there while somebody waits, shared meanwhile, and answer cancels', async () => {
    let reads = 0;
    const probes = new IdentityProbes(tokenOf('x'), async () => {
      reads++;
      await turn();
      return REPLY;
    });
    const cancel = new Asker();
    probes.askAny(cancel);
    assert.equal((await cancel.told.promise).kind, 'refused', 'nothing was asked before');
    for (const ranges of [[0, 1, 2].map((i) => new KeyRange(large(i), '')), [new KeyRange('a', 'b')]]) {
      const askers = ranges
        .flatMap((range) => [range, range])
        .map((range) => ({ range, asker: new Asker() }));
      const before = reads;
      for (const { range, asker } of askers) probes.ask(range, asker);
      assert.equal(probes.size, ranges.length);
      for (const { asker } of askers) assert.equal((await asker.told.promise).kind, 'ok');
      await turn();
      assert.equal(reads - before, ranges.length, 'one read for all who ask the same');
      assert.equal(probes.size, 0);
    }
    const later = new Asker();
    probes.askAny(later);
    assert.equal((await later.told.promise).kind, 'ok', 'with the range that etcd has allowed');
  });

  test('of mirrored reads are kept while etcd allows them, within their bytes', async () => {
    let refuse = false;
    const probes = new ProbeTable(
      async () => {
        if (refuse) throw new RpcError(Code.UNAUTHENTICATED, 'etcdserver: invalid auth token');
        return REPLY;
      },
      { permissions: new Permissions() },
    );
    const ask = async (token: string, start: string, rangeEnd = ''): Promise<string> => {
      const asker = new Asker();
      probes.of(tokenOf(token), { start, rangeEnd }).revision(asker);
      return (await asker.told.promise).kind;
    };
    assert.equal(await ask('good', 'k'), 'ok');
    assert.equal(probes.of(tokenOf('good'), { start: 'k', rangeEnd: '' }).allowed, true);
    refuse = true;
    const { bytes } = probes;
    for (let i = 0; i < 20; i++) assert.equal(await ask(`invented ${i}`, large(i)), 'refused');
    assert.equal(probes.bytes, bytes, 'a refused one leaves nothing');
    refuse = false;
    for (let i = 0; i < 100; i++) assert.equal(await ask(`${i}`.padEnd(100_000), large(i)), 'ok');
    assert.ok(probes.bytes <= 16 * MIB && probes.forgotten > 0, `${probes.bytes}`);
  });
});
