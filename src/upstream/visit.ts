/** One endpoint is asked one read beside the endpoint in use, for a short time. */
import { ClientCall, type ClientCallListener, type Ending } from '../grpc/client-call.ts';
import type { ReceiveLimits } from '../grpc/envelope.ts';
import type { Http2Connection } from '../http2/index.ts';
import type { Endpoint } from '../net/endpoint.ts';
import type { Call, Cancellable } from '../rpc/contract.ts';
import { Code } from '../rpc/status.ts';
import { Patience } from './patience.ts';
import { requestBlock } from './request-block.ts';

/** So long may one endpoint take, connecting included. Milliseconds. */
const LIMIT_MS = 1000;

export class Visit implements ClientCallListener, Cancellable {
  /** Whether there was no answer in time. */
  isLate = false;
  readonly #endpoint: Endpoint;
  readonly #request: Uint8Array;
  readonly #call: Call;
  readonly #receive: ReceiveLimits;
  readonly #done: (reply: Uint8Array | undefined) => void;
  readonly #patience: Patience;
  #attempt: ClientCall | undefined;
  #reply: Uint8Array | undefined;
  #over = false;

  /** @param done is called once, with what the endpoint has answered; `undefined`: nothing in time */
  constructor(
    endpoint: Endpoint,
    request: Uint8Array,
    call: Call,
    receive: ReceiveLimits,
    done: (reply: Uint8Array | undefined) => void,
  ) {
    this.#endpoint = endpoint;
    this.#request = request;
    this.#call = call;
    this.#receive = receive;
    this.#done = done;
    this.#patience = new Patience(LIMIT_MS, () => {
      this.isLate = true;
      this.#end(undefined);
    });
  }

  /** Asks, once there is a connection. */
  begin(connection: Http2Connection): void {
    if (this.#over) return;
    if (!connection.canOpenStream) {
      this.#end(undefined);
      return;
    }
    const { deadline } = this.#call;
    const block = requestBlock(this.#endpoint, this.#call);
    this.#attempt = new ClientCall(connection, block, this, this.#receive, deadline, this.#endpoint.name);
    this.#attempt.send(this.#request, true);
  }

  cancel(): void {
    this.#end(undefined);
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
    if (this.#over) return;
    this.#over = true;
    this.#patience.end();
    this.#attempt?.cancel();
    this.#done(reply);
  }
}
