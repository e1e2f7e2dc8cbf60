/** The line of reads that take long: one at a time, as their connections have room. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LongReads, type LongWork, MAX_LONG_READS } from '../../src/mirror/long-reads.ts';
import { SLICE_VISITS } from '../../src/mvcc/work.ts';
import { type Client, ITSELF } from '../../src/rpc/client.ts';
import type { Outlet, RoomWaiter } from '../../src/rpc/contract.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { outcome, readCall, settle } from '../reads/held-upstream.ts';

/** A connection whose room the test decides on. */
class Gate implements Outlet {
  room = true;
  readonly waiting = new Set<RoomWaiter>();

  wait(waiter: RoomWaiter): void {
    this.waiting.add(waiter);
  }

  leave(waiter: RoomWaiter): void {
    this.waiting.delete(waiter);
  }

  open(): void {
    this.room = true;
    const waiting = [...this.waiting];
    this.waiting.clear();
    for (const waiter of waiting) waiter.onRoom();
  }
}

const log: string[] = [];

function longWork(
  name: string,
  outlet: Outlet,
  slices = 1,
): LongWork & { call: ReturnType<typeof readCall> } {
  const call = Object.assign(readCall(), { outlet });
  return {
    call,
    *begin(work) {
      log.push(`${name} begins`);
      for (let slice = 0; slice < slices; slice++) {
        work.visits += SLICE_VISITS;
        yield;
      }
      return Buffer.from(name);
    },
    isCurrent: () => true,
    fallBack: (reason) => Buffer.from(`${name} ${reason}`),
    onMade: () => log.push(`${name} made`),
  };
}
const read = async (reply: Uint8Array | Promise<Uint8Array>) => Buffer.from(await reply).toString();

test('one at a time, a slice in each turn', async () => {
  log.length = 0;
  const reads = new LongReads();
  const replies = ['a', 'b'].map((name) => read(reads.add(longWork(name, new Gate(), 5))));
  let turns = 0;
  while (!log.includes('b made')) {
    await settle();
    turns++;
    assert.ok(turns < 100);
  }
  assert.ok(turns >= 10, `${turns} turns`);
  assert.deepEqual(log, ['a begins', 'a made', 'b begins', 'b made']);
  assert.deepEqual(await Promise.all(replies), ['a', 'b']);
  assert.equal(reads.size, 0);
});

test('clients have their turns: one with many does not keep another waiting for all of them', async () => {
  log.length = 0;
  const reads = new LongReads();
  const [many, one] = [{ ...ITSELF }, { ...ITSELF }];
  const workOf = (name: string, client: Client) => {
    const work = longWork(name, new Gate());
    return { ...work, call: Object.assign(work.call, { client }) };
  };
  const works = ['a', 'b', 'c', 'd'].map((name) => workOf(name, many));
  const replies = [...works, workOf('other', one)].map((work) => read(reads.add(work)));
  await Promise.all(replies);
  assert.deepEqual(
    log.filter((line) => line.endsWith('made')),
    ['a made', 'other made', 'b made', 'c made', 'd made'],
  );
});

test('one without room begins when there is some; the others do not wait for it', async () => {
  log.length = 0;
  const reads = new LongReads();
  const full = new Gate();
  full.room = false;
  const first = read(reads.add(longWork('full', full)));
  assert.equal(await read(reads.add(longWork('other', new Gate()))), 'other');
  assert.deepEqual(log, ['other begins', 'other made']);
  full.open();
  assert.equal(await first, 'full');
});

test('one that is cancelled is forgotten, wherever it is', async () => {
  const reads = new LongReads();
  const full = new Gate();
  full.room = false;
  const works = [
    longWork('at its connection', full),
    longWork('working', new Gate(), 100),
    longWork('in line', new Gate()),
  ];
  const outcomes = works.map((work) => outcome(reads.add(work) as Promise<Uint8Array>));
  await settle();
  await settle();
  for (const { call } of works) call.cancel();
  await settle();
  for (const { error } of outcomes) assert.equal(RpcError.from(error).code, Code.CANCELLED);
  assert.equal(reads.size, 0);
  assert.equal(full.waiting.size, 0);
  assert.equal(await read(reads.add(longWork('later', new Gate()))), 'later');
});

test('what it began with may not count any more: left to etcd', async () => {
  const reads = new LongReads();
  const work = { ...longWork('a', new Gate(), 3), isCurrent: () => false };
  assert.equal(await read(reads.add(work)), 'a loading');
  const never = { ...longWork('b', new Gate()), begin: () => 'loading' as const };
  assert.equal(await read(reads.add(never)), 'b loading');
});

test('small ones that stand in line are many in one turn', async () => {
  const reads = new LongReads();
  const none = (name: string) => ({ ...longWork(name, new Gate(), 0) });
  let made = 0;
  for (let i = 0; i < 100; i++) void read(reads.add(none('a'))).then(() => made++);
  await settle();
  await settle();
  await settle();
  assert.equal(made, 100);
});

test('a fault in one ends that one', async () => {
  const reads = new LongReads();
  const faulty = {
    ...longWork('a', new Gate()),
    begin() {
      throw new Error('a fault');
    },
  };
  await assert.rejects(read(reads.add(faulty)), /a fault/);
  assert.equal(await read(reads.add(longWork('b', new Gate()))), 'b');
});

test('bounded', async () => {
  const reads = new LongReads();
  const full = new Gate();
  full.room = false;
  for (let i = 0; i < MAX_LONG_READS; i++) void reads.add(longWork('a', full));
  assert.equal(await read(reads.add(longWork('one more', full))), 'one more line');
});
