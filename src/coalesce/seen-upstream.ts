/**
 * The way to etcd for what goes straight back to clients: takes note of the revisions that they are told, and lets no
 * serializable read go behind them. After the endpoint has changed, the member in use may be behind the one before; then
 * it is made to catch up, and asked again.
 */
import type { Call, ClientStream, ClientStreamListener, Upstream } from '../rpc/contract.ts';
import type { Metadata } from '../rpc/metadata.ts';
import type { Method } from '../rpc/method.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { Code, RpcError, type Status } from '../rpc/status.ts';
import type { SeenRevision } from './seen-revision.ts';

/** What is done with reads that are behind. */
export interface OrderOptions {
  /** `Range`, to make a member catch up. */
  readonly range: Method;
  /** Whether a request only reads, so that it can be asked again. */
  readonly reads: (request: Uint8Array, method: Method) => boolean;
  /** `--experimental-serializable-ordering`: an older answer is an error, not better than none. */
  readonly strict: boolean;
}

/** `RangeRequest{key: "\0", count_only: true}`: linearizable, so it is answered by a member that has caught up. */
const CATCH_UP = Buffer.of(0x0a, 1, 0, 0x48, 1);

/** So long may a member take to catch up, within its client's deadline. Milliseconds. */
const CATCH_UP_MS = 5000;

export class SeenUpstream implements Upstream {
  /** Answers that were behind what clients had been told, and what came of them. */
  readonly behind = { caughtUp: 0, older: 0, refused: 0 };
  readonly #upstream: Upstream;
  readonly #seen: SeenRevision;
  readonly #order: OrderOptions;

  constructor(upstream: Upstream, seen: SeenRevision, order: OrderOptions) {
    this.#upstream = upstream;
    this.#seen = seen;
    this.#order = order;
  }

  unary(request: Uint8Array, call: Call): Promise<Uint8Array> {
    const seen = this.#seen;
    // What was told before the question is asked: an answer may be overtaken by later ones on its way.
    const told = seen.revision;
    const { replacements } = seen;
    return this.#upstream.unary(request, call).then((reply) => {
      const revision = seen.saw(reply);
      const isBehind = revision > 0 && revision < told && replacements === seen.replacements;
      if (isBehind && this.#order.reads(request, call.method)) return this.#ask(request, call, reply);
      return reply;
    });
  }

  stream(call: Call, listener: ClientStreamListener): ClientStream {
    // A method that nobody knows may have anything where etcd's have their header.
    const known = call.method.service !== 'unknown';
    return this.#upstream.stream(call, known ? new Listener(listener, this.#seen) : listener);
  }

  /** Asks again when a linearizable read has shown that the member in use, whichever it is by then, has caught up. */
  async #ask(request: Uint8Array, call: Call, older: Uint8Array): Promise<Uint8Array> {
    const { range, strict } = this.#order;
    const deadline = Math.min(call.deadline, performance.now() + CATCH_UP_MS);
    const question = new OwnCall(range, call.metadata, deadline);
    call.work = question;
    try {
      await question.inTime(this.#upstream.unary(CATCH_UP, question));
    } catch (error) {
      if (!refusedForCredentials(error)) return this.#older(call, older, strict, error);
    }
    if (call.cancelled) throw new RpcError(Code.CANCELLED, 'context canceled');
    const reply = await this.#upstream.unary(request, call);
    this.#seen.saw(reply);
    this.behind.caughtUp++;
    return reply;
  }

  /** Nobody can say more. */
  #older(call: Call, older: Uint8Array, strict: boolean, error: unknown): Uint8Array {
    call.work = undefined;
    if (!(error instanceof RpcError)) throw error;
    if (!strict) {
      this.behind.older++;
      return older;
    }
    this.behind.refused++;
    throw new RpcError(
      Code.UNAVAILABLE,
      `the only answer is older than what was told before, and no endpoint has caught up: ${error.message}`,
    );
  }
}

/** etcd looks at credentials only when the member has caught up. */
function refusedForCredentials(error: unknown): boolean {
  if (!(error instanceof RpcError)) return false;
  const { code } = error;
  return code === Code.INVALID_ARGUMENT || code === Code.PERMISSION_DENIED || code === Code.UNAUTHENTICATED;
}

class Listener implements ClientStreamListener {
  readonly #listener: ClientStreamListener;
  readonly #seen: SeenRevision;

  constructor(listener: ClientStreamListener, seen: SeenRevision) {
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
