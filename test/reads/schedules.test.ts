/**
 * Random schedules of reads, cancellations and answers, without a network: no read may be answered by a call that was
 * sent before it arrived, none may be forgotten, and no two calls of the same read may be in flight.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Flights } from '../../src/flights/flights.ts';
import type { OwnCall } from '../../src/rpc/own-call.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { HeldUpstream, outcome, readCall, settle } from './held-upstream.ts';

const LIMITS = { maxFlights: 100, maxPassengers: 100, maxKeyBytes: 1000 };

/** One thing that happens in a random schedule; numbers choose among what there is. */
const step = fc.oneof(
  fc.record({ do: fc.constant('read' as const), key: fc.nat(1) }),
  fc.record({ do: fc.constant('cancel' as const), which: fc.nat() }),
  fc.record({ do: fc.constant('end' as const), which: fc.nat(), fails: fc.boolean() }),
);

interface Read {
  readonly at: number;
  readonly call: OwnCall;
  readonly result: ReturnType<typeof outcome>;
}

/** Checks a schedule: answers hold the time at which their call was sent. */
class Schedule {
  readonly upstream = new HeldUpstream();
  readonly flights = new Flights(this.upstream, LIMITS, {
    onSent: () => {},
    onEnded: () => {},
    onJoined: () => {},
    onRefused: () => assert.fail('a bound was reached'),
  });
  readonly reads: Read[] = [];
  readonly ended = new Set<number>();
  readonly sentAt: number[] = [];
  now = 0;

  read(key: number): void {
    const call = readCall();
    const result = outcome(this.flights.unary(Buffer.of(key), call));
    this.reads.push({ at: this.now, call, result });
  }

  cancel(which: number): void {
    const open = this.reads.filter(({ result }) => Object.keys(result).length === 0);
    open[which % open.length]?.call.cancel();
  }

  end(which: number, fails: boolean): void {
    const open = this.open();
    const index = open[which % open.length];
    if (index === undefined) return;
    this.ended.add(index);
    const sentAt = Buffer.from(String(this.sentAt[index]));
    if (fails) this.upstream.at(index).fail(new RpcError(Code.UNKNOWN, sentAt.toString()));
    else this.upstream.at(index).answer(sentAt);
  }

  open(): number[] {
    return [...this.upstream.calls.keys()].filter(
      (i) => !this.ended.has(i) && !this.upstream.at(i).cancelled,
    );
  }

  async tick(): Promise<void> {
    this.#noteSent();
    await settle();
    this.#noteSent();
    const keys = this.open().map((index) => this.upstream.at(index).request[0]);
    assert.equal(new Set(keys).size, keys.length, 'two calls of the same read in flight');
    this.now++;
  }

  #noteSent(): void {
    while (this.sentAt.length < this.upstream.calls.length) this.sentAt.push(this.now);
  }

  check(): void {
    for (const { at, call, result } of this.reads) {
      if (call.cancelled) continue;
      const { reply, error } = result;
      const text = reply ? Buffer.from(reply).toString() : (error as RpcError | undefined)?.message;
      assert.ok(text !== undefined, 'a read was never answered');
      assert.ok(Number(text) >= at, `a read of time ${at} was answered by a call sent at ${text}`);
    }
  }
}

test('random schedules: every read is answered by a call that was sent after it arrived', async () => {
  const property = fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
    const schedule = new Schedule();
    for (const one of steps) {
      if (one.do === 'read') schedule.read(one.key);
      else if (one.do === 'cancel') schedule.cancel(one.which);
      else schedule.end(one.which, one.fails);
      await schedule.tick();
    }
    while (schedule.open().length > 0) {
      schedule.end(0, false);
      await schedule.tick();
    }
    schedule.check();
  });
  await fc.assert(property, { numRuns: 500 });
});
