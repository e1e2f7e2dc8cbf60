/** The rules of the ledger: what an account may hold, and who has to let go. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Account, type AccountHolder, Ledger } from '../../src/rpc/ledger.ts';

const MIB = 1 << 20;
const LIMIT = 100 * MIB;

/** Lets go of what it is asked for, if it may. */
class Holder implements AccountHolder {
  readonly account: Account;
  asked: number[] = [];
  told = 0;
  stubborn = false;

  constructor(ledger: Ledger) {
    this.account = ledger.open(this);
  }

  refuse(bytes: number): number {
    this.asked.push(bytes);
    const gone = this.stubborn ? 0 : Math.min(bytes, this.account.held);
    this.account.give(gone);
    return gone;
  }

  onRoomChanged(): void {
    this.told++;
    this.account.stopWaiting();
  }
}

describe('the ledger', () => {
  test('one account may hold four fifths', () => {
    const ledger = new Ledger(LIMIT);
    const { account } = new Holder(ledger);
    assert.equal(account.take(80 * MIB), false);
    assert.equal(account.take(1), true);
    assert.equal(account.over, true);
    account.give(account.excess);
    assert.equal(account.over, false);
    assert.ok(account.held <= 80 * MIB && account.held > 80 * MIB - 10);
  });

  test('many get less each, and there is room for one more', () => {
    const ledger = new Ledger(LIMIT);
    const accounts = Array.from({ length: 50 }, () => new Holder(ledger).account);
    // All at the same pace, until each has been told to stop.
    const going = new Set(accounts);
    while (going.size > 0) for (const account of going) if (account.take(1 << 10)) going.delete(account);
    assert.ok(ledger.held < LIMIT);
    assert.ok(accounts.every(({ held }) => held > MIB));
    const { account } = new Holder(ledger);
    assert.equal(account.take(256 << 10), false);
  });

  test('a small account is never over, whatever the others hold', () => {
    const ledger = new Ledger(LIMIT);
    const large = new Holder(ledger);
    large.stubborn = true;
    large.account.take(2 * LIMIT);
    // So many that an equal part of what is assured to all of them is less than a small account.
    const [small] = Array.from({ length: 1000 }, () => new Holder(ledger).account) as [Account];
    assert.equal(small.take(64 << 10), false);
    assert.deepEqual([small.full, small.over], [true, false]);
    assert.equal(small.take(1), true);
  });

  test('an equal part of an eighth is never too much, whatever the others hold', () => {
    const ledger = new Ledger(LIMIT);
    const large = new Holder(ledger);
    large.stubborn = true;
    large.account.take(2 * LIMIT);
    const [one] = Array.from({ length: 24 }, () => new Holder(ledger).account) as [Account];
    assert.equal(one.take(LIMIT / 8 / 25), false);
    assert.deepEqual([one.full, one.over], [true, false]);
    assert.equal(one.take(1), true);
  });

  test('who comes after many large ones gets a share, and they let go', () => {
    const ledger = new Ledger(LIMIT);
    const holders: Holder[] = [];
    // One after the other takes what it may, and leaves a fifth of what was free.
    for (const mib of [79, 15, 4]) {
      const holder = new Holder(ledger);
      holder.account.take(mib * MIB);
      holders.push(holder);
    }
    const last = new Holder(ledger);
    assert.equal(last.account.take(12 * MIB), false);
    assert.deepEqual(last.asked, [], 'it need not let go of anything itself');
    assert.ok((holders[0] as Holder).asked.length > 0, 'the largest does');
    assert.ok(ledger.held < LIMIT);
  });

  test('those of about the same size do not push each other out', () => {
    const ledger = new Ledger(LIMIT);
    const holders = [49, 30].map((mib) => {
      const holder = new Holder(ledger);
      holder.account.take(mib * MIB);
      return holder;
    });
    const [one, two] = holders as [Holder, Holder];
    assert.equal(two.account.take(10 * MIB), false);
    assert.equal(two.account.take(6 * MIB), true);
    assert.deepEqual(one.asked, []);
  });

  test('over the limit the largest let go first', async () => {
    const ledger = new Ledger(LIMIT);
    const holders = [10, 60, 30, 20].map((mib) => {
      const holder = new Holder(ledger);
      holder.stubborn = true;
      holder.account.take(mib * MIB);
      return holder;
    });
    await sleep(60); // nobody is asked again at once after nobody let go
    for (const [i, holder] of holders.entries()) {
      holder.asked = [];
      holder.stubborn = i === 1;
    }
    (holders[0] as Holder).account.relieveAll();
    assert.ok(ledger.free >= 0);
    assert.deepEqual(
      holders.map(({ asked }) => asked.length),
      [0, 1, 1, 0],
    );
  });

  test('who waits is told once, after the turn in which something was let go', async () => {
    const ledger = new Ledger(LIMIT);
    const [one, two] = [new Holder(ledger), new Holder(ledger)];
    one.account.take(MIB);
    two.account.wait();
    one.account.give(10);
    one.account.give(10);
    assert.equal(two.told, 0);
    await new Promise(setImmediate);
    assert.deepEqual([one.told, two.told], [0, 1]);
    one.account.give(10);
    await new Promise(setImmediate);
    assert.equal(two.told, 1);
  });

  test('nothing is left of a connection that is gone', () => {
    const ledger = new Ledger(LIMIT);
    const { account } = new Holder(ledger);
    account.take(5000);
    account.wait();
    account.close();
    assert.deepEqual([ledger.held, ledger.waiting.size], [0, 0]);
  });
});
