/** The way to etcd for what goes straight back to clients: takes note of the revisions that they are told. */
import type { Call, ClientStream, ClientStreamListener, Upstream } from '../rpc/contract.ts';
import type { Metadata } from '../rpc/metadata.ts';
import type { Status } from '../rpc/status.ts';
import type { SeenRevision } from './seen-revision.ts';

export class SeenUpstream implements Upstream {
  readonly #upstream: Upstream;
  readonly #seen: SeenRevision;

  constructor(upstream: Upstream, seen: SeenRevision) {
    this.#upstream = upstream;
    this.#seen = seen;
  }

  unary(request: Uint8Array, call: Call): Promise<Uint8Array> {
    return this.#upstream.unary(request, call).then((reply) => {
      this.#seen.saw(reply);
      return reply;
    });
  }

  stream(call: Call, listener: ClientStreamListener): ClientStream {
    // A method that nobody knows may have anything where etcd's have their header.
    const known = call.method.service !== 'unknown';
    return this.#upstream.stream(call, known ? new Listener(listener, this.#seen) : listener);
  }
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
