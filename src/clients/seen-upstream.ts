/**
 * The way to etcd for what goes straight back to clients: takes note of the revisions that they are told, and lets no
 * serializable read go behind them. After the endpoint has changed, the member in use may be behind the one before; then
 * it is made to catch up, and asked again.
 */

import { KV } from '../etcd/methods.ts';
import { COUNT_ONE } from '../etcd/own-requests.ts';
import { isOutage } from '../etcd/statuses.ts';
import { isRefusedForCredentials, NONE_IS_NEWER } from '../etcd/words.ts';
import type { Call, ClientStream, ClientStreamListener, Keeper, Upstream } from '../rpc/contract.ts';
import type { Metadata } from '../rpc/metadata.ts';
import type { Method } from '../rpc/method.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { Code, RpcError, type Status } from '../rpc/status.ts';
import type { SeenRevision } from './seen-revision.ts';

/** What is done with reads that are behind. */
export interface OrderOptions {
  /** Whether a request only reads, so that it can be asked again. */
  readonly reads: (request: Uint8Array, method: Method) => boolean;
  /** `--experimental-serializable-ordering`: an older answer is an error, not better than none. */
  readonly strict: boolean;
  /** Asks the endpoints that are not in use for an answer that will do. Never rejects. */
  readonly elsewhere: (
    request: Uint8Array,
    call: Call,
    accepts: (reply: Uint8Array) => boolean,
  ) => Promise<Uint8Array | undefined>;
}

/** So long may a member take to catch up, but no longer than half of the time that its client has left. Milliseconds. */
const CATCH_UP_MS = 5000;

/** What clients had been told when a read was asked for. */
interface Told {
  readonly revision: number;
  readonly replacements: number;
}

export class SeenUpstream implements Upstream {
  /** Answers that were behind what clients had been told, and what came of them. */
  readonly behind = { caughtUp: 0, elsewhere: 0, older: 0, refused: 0 };
  readonly #upstream: Upstream;
  readonly #seen: SeenRevision;
  readonly #order: OrderOptions;

  constructor(upstream: Upstream, seen: SeenRevision, order: OrderOptions) {
    this.#upstream = upstream;
    this.#seen = seen;
    this.#order = order;
  }

  unary(request: Uint8Array, call: Call): Uint8Array | Promise<Uint8Array> {
    // What was told before the question is asked: an answer may be overtaken by later ones on its way.
    const { revision, replacements } = this.#seen;
    const reply = this.#upstream.unary(request, call);
    if (!(reply instanceof Promise)) return this.#inOrder(request, call, reply, revision, replacements);
    return reply.then((later) => this.#inOrder(request, call, later, revision, replacements));
  }

  stream(call: Call, listener: ClientStreamListener): ClientStream {
    // A method that nobody knows may have anything where etcd's have their header.
    const known = call.method.service !== 'unknown';
    return this.#upstream.stream(call, known ? new Listener(listener, this.#seen) : listener);
  }

  /** The answer, or a newer one where it is older than what had been told: an object for that is made only then. */
  #inOrder(
    request: Uint8Array,
    call: Call,
    reply: Uint8Array,
    revision: number,
    replacements: number,
  ): Uint8Array | Promise<Uint8Array> {
    const seen = this.#seen;
    const answered = seen.saw(reply);
    if (answered >= revision || answered === 0 || replacements !== seen.replacements) return reply;
    if (!this.#order.reads(request, call.method)) return reply;
    return this.#ask(request, call, reply, { revision, replacements });
  }

  /** Asks again when a linearizable read has shown that the member in use, whichever it is by then, has caught up. */
  async #ask(request: Uint8Array, call: Call, older: Uint8Array, told: Told): Promise<Uint8Array> {
    let reply = older;
    try {
      await this.#catchUp(call, told);
      if (!call.cancelled) reply = await this.#upstream.unary(request, call);
    } catch (error) {
      if (!(error instanceof RpcError) || !isOutage(error)) throw error;
      if (!call.cancelled) return this.#elsewhere(request, call, older, told, error.message);
    }
    if (call.cancelled) throw RpcError.cancelled();
    if (this.#isBehind(this.#seen.saw(reply), told))
      return this.#elsewhere(request, call, reply, told, 'the endpoint has changed');
    if (told.replacements === this.#seen.replacements) this.behind.caughtUp++;
    return reply;
  }

  async #catchUp(call: Call, told: Told): Promise<void> {
    const now = performance.now();
    const question = new OwnCall(
      KV.Range,
      call.metadata,
      now + Math.min(CATCH_UP_MS, (call.deadline - now) / 2),
    );
    call.work = question;
    try {
      const revision = this.#seen.saw(await question.inTime(this.#upstream.unary(COUNT_ONE, question)));
      // No member is behind in a linearizable read: the cluster was set back to a backup.
      if (this.#isBehind(revision, told)) this.#seen.setBack(revision);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      if (!isRefusedForCredentials(error)) throw new RpcError(Code.UNAVAILABLE, error.message);
    }
  }

  #isBehind(revision: number, told: Told): boolean {
    return revision > 0 && revision < told.revision && told.replacements === this.#seen.replacements;
  }

  /**
   * The member in use has no newer answer. Asks the other endpoints: without a quorum, the one used before may have
   * it.
   */
  async #elsewhere(
    request: Uint8Array,
    call: Call,
    older: Uint8Array,
    told: Told,
    cause: string,
  ): Promise<Uint8Array> {
    const seen = this.#seen;
    const isNew = (reply: Uint8Array): boolean => seen.peek(reply) >= told.revision;
    const reply = await this.#order.elsewhere(request, call, isNew);
    call.work = undefined;
    if (call.cancelled) throw RpcError.cancelled();
    if (reply === undefined) return this.#older(older, cause);
    seen.saw(reply);
    this.behind.elsewhere++;
    return reply;
  }

  /** No endpoint has a newer answer: gives the older one, or an error where `strict`. */
  #older(older: Uint8Array, cause: string): Uint8Array {
    if (!this.#order.strict) {
      this.behind.older++;
      return older;
    }
    this.behind.refused++;
    throw new RpcError(Code.UNAVAILABLE, `${NONE_IS_NEWER}: ${cause}`);
  }
}

class Listener implements ClientStreamListener {
  readonly keeper: Keeper | undefined;
  readonly #listener: ClientStreamListener;
  readonly #seen: SeenRevision;

  constructor(listener: ClientStreamListener, seen: SeenRevision) {
    this.keeper = listener.keeper;
    this.#listener = listener;
    this.#seen = seen;
  }

  onHeaders(metadata: Metadata): void {
    this.#listener.onHeaders(metadata);
  }

  onMessage(message: Uint8Array): void {
    this.#seen.saw(message);
    this.#listener.onMessage(message);
  }

  onDrain(): void {
    this.#listener.onDrain();
  }

  onEnd(status: Status, trailers: Metadata): void {
    this.#listener.onEnd(status, trailers);
  }
}
