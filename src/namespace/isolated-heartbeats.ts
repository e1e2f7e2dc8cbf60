/** A stream of heartbeats within an isolated namespace: leases of elsewhere are answered as leases that are not there. */
import { leaseIn, withLease } from '../etcd/lease-places.ts';
import { LeaseTag } from '../etcd/lease-tags.ts';
import type { ServerStream, ServerStreamListener } from '../rpc/contract.ts';
import { NO_STREAM_LISTENER } from '../rpc/no-stream-listener.ts';
import { PassingStream } from '../rpc/passing-stream.ts';
import { RpcError } from '../rpc/status.ts';
import type { LeaseIds } from './lease-ids.ts';

/** What an id takes in memory until it is answered. */
const BYTES = 16;

/** Hides leases of elsewhere in a request. */
export type Hide = (request: Uint8Array) => Uint8Array;

/** The client as the handler of the stream sees it, and the handler as the client does. */
export class IsolatedHeartbeats extends PassingStream implements ServerStreamListener {
  /** Of the handler. */
  listener: ServerStreamListener = NO_STREAM_LISTENER;
  readonly #ids: LeaseIds;
  readonly #hide: Hide;
  /** The ids that went to etcd as the one that no lease has, and are not answered, oldest first. etcd answers them in this order. */
  readonly #asked: bigint[] = [];

  constructor(client: ServerStream, ids: LeaseIds, hide: Hide) {
    super(client);
    this.#ids = ids;
    this.#hide = hide;
  }

  onMessage(message: Uint8Array): void {
    let hidden: Uint8Array;
    try {
      hidden = this.#hide(message);
      if (leaseIn(hidden, LeaseTag.ofLease) === this.#ids.absent)
        this.#ask(leaseIn(message, LeaseTag.ofLease));
    } catch (error) {
      this.listener.onCancel();
      this.listener = NO_STREAM_LISTENER;
      this.end(RpcError.from(error));
      return;
    }
    this.listener.onMessage(hidden);
  }

  onHalfClose(): void {
    this.listener.onHalfClose();
  }

  onDrain(): void {
    this.listener.onDrain();
  }

  onCancel(): void {
    this.listener.onCancel();
  }

  send(message: Uint8Array): boolean {
    if (this.#asked.length === 0 || leaseIn(message, LeaseTag.reply) !== this.#ids.absent)
      return this.client.send(message);
    const asked = this.#asked.shift() as bigint;
    this.client.hold(-BYTES);
    return this.client.send(withLease(message, LeaseTag.reply, asked));
  }

  #ask(lease: bigint): void {
    this.#asked.push(lease);
    this.client.hold(BYTES);
  }
}
