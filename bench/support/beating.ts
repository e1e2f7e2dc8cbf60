/** Clients that send a heartbeat as soon as they have the answer to the one before, each on a connection of its own. */
import { fromBinary } from '@bufbuild/protobuf';
import { LeaseKeepAliveResponseSchema } from '#gen/etcdserverpb/lease_pb.js';
import type { ClientCall, ClientCallListener } from '../../src/grpc/client-call.ts';
import { beat, KEEP_ALIVE } from '../../test/lease/beats.ts';
import { LoadConnection } from '../../test/support/watch-load.ts';

/** All of them. */
export class BeatingLeases implements AsyncDisposable {
  /** How long each answer took, in milliseconds. */
  readonly times: number[] = [];
  /** Answers that a lease is gone. */
  gone = 0;
  /** Streams that ended. */
  errors = 0;
  closed = false;
  readonly #connections: LoadConnection[] = [];
  readonly #clients: BeatingLease[] = [];

  static async begin(address: string, ids: readonly bigint[]): Promise<BeatingLeases> {
    const all = new BeatingLeases();
    for (const id of ids) {
      const connection = await LoadConnection.open(address);
      all.#connections.push(connection);
      all.#clients.push(new BeatingLease(all, connection, id));
    }
    return all;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.closed = true;
    for (const client of this.#clients) client.close();
    for (const connection of this.#connections) connection[Symbol.dispose]();
  }
}

class BeatingLease implements ClientCallListener {
  readonly #all: BeatingLeases;
  readonly #request: Uint8Array;
  readonly #call: ClientCall;
  #asked = 0;

  constructor(all: BeatingLeases, connection: LoadConnection, id: bigint) {
    this.#all = all;
    this.#request = beat(id);
    this.#call = connection.call(this, KEEP_ALIVE);
    this.#beat();
  }

  #beat(): void {
    this.#asked = performance.now();
    this.#call.send(this.#request, false);
  }

  onHeaders(): void {}

  onMessage(message: Uint8Array): void {
    this.#all.times.push(performance.now() - this.#asked);
    if (fromBinary(LeaseKeepAliveResponseSchema, message).TTL <= 0n) this.#all.gone++;
    if (!this.#all.closed) this.#beat();
  }

  onDrain(): void {}

  onEnding(): void {
    if (!this.#all.closed) this.#all.errors++;
  }

  close(): void {
    this.#call.cancel();
  }
}
