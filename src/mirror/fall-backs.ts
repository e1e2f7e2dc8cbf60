/**
 * The way to etcd for reads that a mirror should have answered and could not in time. Only so many go at once: a mirror
 * that lags must not turn into a stampede. The others wait in line, boundedly, and are told to come back after that.
 */
import type { Call, Cancellable, UnaryUpstream } from '../rpc/contract.ts';
import { forwardLater } from '../rpc/forward.ts';
import { Code, RpcError } from '../rpc/status.ts';
import type { MirrorStats } from './stats.ts';
import { WaitingLine } from './waiting-line.ts';

/** Reads in line; one more is refused. */
const MAX_QUEUED = 10_000;

/** How many reads go to etcd at a time, and how long others wait for that. */
export interface FallBackLimits {
  /** Reads forwarded at once. */
  readonly max: number;
  /** How long a read may stand in line, in milliseconds. */
  readonly waitMs: number;
}

/** A read in line. */
class Queued implements Cancellable {
  readonly request: Uint8Array;
  readonly call: Call;
  readonly resolve: (reply: Uint8Array | Promise<Uint8Array>) => void;
  readonly reject: (error: RpcError) => void;
  readonly #line: WaitingLine<Queued>;

  constructor(
    line: WaitingLine<Queued>,
    request: Uint8Array,
    call: Call,
    resolve: (reply: Uint8Array | Promise<Uint8Array>) => void,
    reject: (error: RpcError) => void,
  ) {
    this.#line = line;
    this.request = request;
    this.call = call;
    this.resolve = resolve;
    this.reject = reject;
    call.work = this;
  }

  cancel(): void {
    if (this.#line.delete(this)) this.reject(RpcError.cancelled());
  }
}

export class FallBacks implements UnaryUpstream {
  readonly #below: UnaryUpstream;
  readonly #limits: FallBackLimits;
  readonly #stats: MirrorStats;
  readonly #line: WaitingLine<Queued>;
  #running = 0;

  constructor(below: UnaryUpstream, limits: FallBackLimits, stats: MirrorStats) {
    this.#below = below;
    this.#limits = limits;
    this.#stats = stats;
    this.#line = new WaitingLine(limits.waitMs, ({ call, reject }) => {
      call.work = undefined;
      stats.refused++;
      reject(tooMany());
    });
  }

  /** Forwards a read, at once or when the ones in line before it are done. */
  unary(request: Uint8Array, call: Call): Promise<Uint8Array> {
    if (this.#running < this.#limits.max) return this.#forward(request, call);
    if (this.#line.size >= MAX_QUEUED) {
      this.#stats.refused++;
      return Promise.reject(tooMany());
    }
    this.#stats.queued++;
    return new Promise((resolve, reject) => {
      this.#line.add(new Queued(this.#line, request, call, resolve, reject));
    });
  }

  #forward(request: Uint8Array, call: Call): Promise<Uint8Array> {
    this.#running++;
    const reply = forwardLater(this.#below, request, call);
    const done = () => this.#next();
    reply.then(done, done);
    return reply;
  }

  #next(): void {
    this.#running--;
    const next = this.#line.shift();
    if (next === undefined) return;
    next.call.work = undefined;
    next.resolve(this.#forward(next.request, next.call));
  }
}

function tooMany(): RpcError {
  return new RpcError(
    Code.UNAVAILABLE,
    'etcd-connect-proxy: a mirrored prefix is behind, and too many reads are forwarded already',
  );
}
