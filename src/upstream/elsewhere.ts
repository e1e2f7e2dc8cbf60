/**
 * Puts a read to other endpoints than the one in use, one after the other and each on a connection of its own. For the
 * rare one that the endpoint in use cannot answer well enough.
 */
import { ClientCall, type ClientCallListener, type Ending } from '../grpc/client-call.ts';
import type { ReceiveLimits } from '../grpc/envelope.ts';
import type { Http2Connection } from '../http2/index.ts';
import type { Endpoint } from '../net/endpoint.ts';
import type { Call, Cancellable } from '../rpc/contract.ts';
import { Code } from '../rpc/status.ts';
import type { ConnectionOwner, Dial } from './connection.ts';
import { Patience } from './patience.ts';
import { requestBlock } from './request-block.ts';

/** So long may one endpoint take, connecting included. Milliseconds. */
const LIMIT_MS = 1000;

/** What a visit needs. */
export interface VisitOptions {
  dial(endpoint: Endpoint, owner: ConnectionOwner): Dial;
  readonly receive: ReceiveLimits;
}

/** The first answer of one of the endpoints that will do; `undefined` when there is none. */
export async function askElsewhere(
  endpoints: readonly Endpoint[],
  options: VisitOptions,
  request: Uint8Array,
  call: Call,
  accepts: (reply: Uint8Array) => boolean,
): Promise<Uint8Array | undefined> {
  for (const endpoint of endpoints) {
    if (call.cancelled || performance.now() >= call.deadline) return undefined;
    const reply = await new Promise<Uint8Array | undefined>((resolve) => {
      call.work = new Visit(endpoint, options, request, call, resolve);
    });
    if (reply !== undefined && accepts(reply)) return reply;
  }
  return undefined;
}

/** One endpoint is asked. */
class Visit implements ConnectionOwner, ClientCallListener, Cancellable {
  readonly #endpoint: Endpoint;
  readonly #receive: ReceiveLimits;
  readonly #request: Uint8Array;
  readonly #call: Call;
  readonly #done: (reply: Uint8Array | undefined) => void;
  readonly #dial: Dial;
  readonly #patience: Patience;
  #reply: Uint8Array | undefined;

  constructor(
    endpoint: Endpoint,
    { dial, receive }: VisitOptions,
    request: Uint8Array,
    call: Call,
    done: (reply: Uint8Array | undefined) => void,
  ) {
    this.#endpoint = endpoint;
    this.#receive = receive;
    this.#request = request;
    this.#call = call;
    this.#done = done;
    this.#patience = new Patience(LIMIT_MS, () => this.#end(undefined));
    this.#dial = dial(endpoint, this);
  }

  cancel(): void {
    this.#end(undefined);
  }

  onConnected(connection: Http2Connection): void {
    if (!connection.canOpenStream) {
      this.#end(undefined);
      return;
    }
    const { deadline } = this.#call;
    const block = requestBlock(this.#endpoint, this.#call);
    const attempt = new ClientCall(connection, block, this, this.#receive, deadline, this.#endpoint.name);
    attempt.send(this.#request, true);
  }

  onFailed(): void {
    this.#end(undefined);
  }

  onLost(): void {
    this.#end(undefined);
  }

  onSpent(): void {
    // There is one call.
  }

  onStreamSlots(): void {
    // There is one call.
  }

  onLimit(): void {
    // One call reaches none but for its size, which ends it.
  }

  onFault(error: unknown): void {
    throw error;
  }

  pingsIdle(): boolean {
    return false;
  }

  onHeaders(): void {
    // The answer is the message.
  }

  onMessage(message: Uint8Array): void {
    this.#reply = message;
  }

  onDrain(): void {
    // The one message was queued as a whole.
  }

  onEnding({ status }: Ending): void {
    this.#end(status.code === Code.OK ? this.#reply : undefined);
  }

  #end(reply: Uint8Array | undefined): void {
    this.#patience.end();
    this.#done(reply);
    this.#dial.close();
  }
}
