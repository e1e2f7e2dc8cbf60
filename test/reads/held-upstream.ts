/** An upstream whose calls stay open until the test answers them, and calls of clients that can be cancelled. */
import type { Call, ClientStream, Upstream } from '../../src/rpc/contract.ts';
import { Metadata, NO_METADATA } from '../../src/rpc/metadata.ts';
import type { Method } from '../../src/rpc/method.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';

/** A call that has reached the upstream. */
export interface HeldCall {
  readonly request: Uint8Array;
  readonly call: Call;
  /** Whether it was abandoned. */
  cancelled: boolean;
  answer(reply: Uint8Array): void;
  fail(error: unknown): void;
}

/** Collects unary calls in the order in which they were sent. */
export class HeldUpstream implements Upstream {
  readonly calls: HeldCall[] = [];

  /** The call of an index, from the end where it is negative. */
  at(index: number): HeldCall {
    const call = this.calls.at(index);
    if (call === undefined) throw new Error(`only ${this.calls.length} calls were sent`);
    return call;
  }

  unary(request: Uint8Array, call: Call): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    const settled =
      <T>(settle: (value: T) => void) =>
      (value: T) => {
        call.work = undefined;
        settle(value);
      };
    const held: HeldCall = {
      request,
      call,
      cancelled: false,
      answer: settled(resolve),
      fail: settled(reject),
    };
    call.work = {
      cancel() {
        held.cancelled = true;
        held.fail(new RpcError(Code.CANCELLED, 'context canceled'));
      },
    };
    this.calls.push(held);
    return promise;
  }

  stream(): ClientStream {
    throw new Error('no streams here');
  }
}

const RANGE: Method = {
  path: '/etcdserverpb.KV/Range',
  service: 'etcdserverpb.KV',
  name: 'Range',
  kind: 'unary',
  idempotent: true,
  pace: 'prompt',
};

/** A client's read with its metadata, as a flat list, and its deadline. */
export function readCall(fields: readonly string[] = [], deadline = Number.POSITIVE_INFINITY): OwnCall {
  return new OwnCall(RANGE, fields.length === 0 ? NO_METADATA : new Metadata(fields), deadline);
}

/** Lets everything happen that is ready to happen. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** What became of an answer so far. */
export function outcome(answer: Uint8Array | Promise<Uint8Array>) {
  const result: { reply?: Uint8Array; error?: unknown } = {};
  Promise.resolve(answer).then(
    (reply) => {
      result.reply = reply;
    },
    (error: unknown) => {
      result.error = error;
    },
  );
  return result;
}
