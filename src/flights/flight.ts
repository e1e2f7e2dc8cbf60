/**
 * One call to etcd on behalf of several clients that ask the same. It gathers members until it is sent, and takes
 * none afterwards; its answer, whatever it is, is the answer of every member. To the upstream it is a call like
 * any other.
 */
import { ITSELF } from '../rpc/client.ts';
import type { Call, Cancellable, UnaryUpstream } from '../rpc/contract.ts';
import { forwardLater } from '../rpc/forward.ts';
import { type Metadata, NO_METADATA } from '../rpc/metadata.ts';
import type { Method } from '../rpc/method.ts';
import { OPEN } from '../rpc/outlet.ts';
import { RpcError } from '../rpc/status.ts';

/** Members that get the answer at once. Each costs some microseconds, with what is sent to it. */
const MEMBERS_PER_TURN = 500;

/** A call to etcd and those who wait for its answer. */
export class Flight implements Call {
  readonly method: Method;
  readonly client = ITSELF;
  readonly metadata: Metadata;
  /** The latest of the members' deadlines, known when the flight is sent. */
  deadline = Number.POSITIVE_INFINITY;
  cancelled = false;
  readonly outlet = OPEN;
  work: Cancellable | undefined;
  responseHeaders: Metadata = NO_METADATA;
  responseTrailers: Metadata = NO_METADATA;

  readonly #request: Uint8Array;
  #members: Member[] = [];
  #sent = false;

  /** @param call any member's call; what etcd is told of it is the same for all of them */
  constructor(request: Uint8Array, call: Call) {
    this.method = call.method;
    this.metadata = call.metadata;
    this.#request = request;
  }

  /** How many wait for the answer. */
  get size(): number {
    return this.#members.length;
  }

  /** Adds a member. Its promise settles with the flight, or when its own call is cancelled. */
  join(call: Call): Promise<Uint8Array> {
    if (this.#sent) throw new Error('a flight takes no members after it was sent');
    return new Promise((resolve, reject) => {
      const members = this.#members;
      members.push(new Member(this, call, members.length, resolve, reject));
    });
  }

  /** Sends the call. From here on it has the members it has. `onEnd` runs before they get the answer. */
  send(upstream: UnaryUpstream, onEnd: () => void): void {
    this.#sent = true;
    this.deadline = latestDeadline(this.#members);
    forwardLater(upstream, this.#request, this).then(
      (reply) => {
        onEnd();
        this.#deliver((member) => member.resolve(reply));
      },
      (error: unknown) => {
        onEnd();
        this.#deliver((member) => member.reject(error));
      },
    );
  }

  /** Removes a member. A call that nobody waits for any more is abandoned. */
  leave(member: Member): void {
    const last = this.#members.pop() as Member;
    if (last !== member) {
      this.#members[member.index] = last;
      last.index = member.index;
    }
    if (this.#members.length > 0 || !this.#sent) return;
    this.cancelled = true;
    this.work?.cancel();
  }

  /** Gives the members the answer, many in a turn of the event loop, and all others a turn between. */
  #deliver(settle: (member: Member) => void): void {
    for (let count = 0; count < MEMBERS_PER_TURN; count++) {
      const member = this.#members.pop();
      if (member === undefined) return;
      const { call } = member;
      call.work = undefined;
      call.responseHeaders = this.responseHeaders;
      call.responseTrailers = this.responseTrailers;
      settle(member);
    }
    if (this.#members.length > 0) setImmediate(() => this.#deliver(settle));
  }
}

/** One client's part in a flight. */
class Member implements Cancellable {
  readonly call: Call;
  readonly resolve: (reply: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
  /** Its place among the members. */
  index: number;
  readonly #flight: Flight;

  constructor(
    flight: Flight,
    call: Call,
    index: number,
    resolve: (reply: Uint8Array) => void,
    reject: (error: unknown) => void,
  ) {
    this.#flight = flight;
    this.call = call;
    this.index = index;
    this.resolve = resolve;
    this.reject = reject;
    call.work = this;
  }

  cancel(): void {
    this.#flight.leave(this);
    this.reject(RpcError.cancelled());
  }
}

function latestDeadline(members: readonly Member[]): number {
  let latest = 0;
  for (const { call } of members) if (call.deadline > latest) latest = call.deadline;
  return latest;
}
