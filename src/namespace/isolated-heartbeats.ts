/** A stream of heartbeats within an isolated namespace: leases of elsewhere are answered as leases that are not there. */
import { LeaseTag, leaseIn, withLease } from '../etcd/lease-places.ts';
import type { ServerStream, ServerStreamListener } from '../rpc/contract.ts';
import { NOBODY } from '../rpc/nobody.ts';
import { RpcError, type Status } from '../rpc/status.ts';
import type { LeaseIds } from './lease-ids.ts';

/** What an id takes in memory until it is answered. */
const BYTES = 16;

/** Hides leases of elsewhere in a request. */
export type Hide = (request: Uint8Array) => Uint8Array;

/** The client as the handler of the stream sees it, and the handler as the client does. */
export class IsolatedHeartbeats implements ServerStream, ServerStreamListener {
  /** Of the handler. */
  listener: ServerStreamListener = NOBODY;
  readonly #client: ServerStream;
  readonly #ids: LeaseIds;
  readonly #hide: Hide;
  /** The ids that went to etcd as the one that no lease has, and are not answered, oldest first. etcd answers them in this order. */
  readonly #asked: bigint[] = [];

  constructor(client: ServerStream, ids: LeaseIds, hide: Hide) {
    this.#client = client;
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
      this.listener = NOBODY;
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

  sendHeaders(): void {
    this.#client.sendHeaders();
  }

  send(message: Uint8Array): boolean {
    if (this.#asked.length === 0 || leaseIn(message, LeaseTag.reply) !== this.#ids.absent)
      return this.#client.send(message);
    const asked = this.#asked.shift() as bigint;
    this.#client.hold(-BYTES);
    return this.#client.send(withLease(message, LeaseTag.reply, asked));
  }

  sendJoined(head: Uint8Array, tail: Uint8Array): boolean {
    return this.send(Buffer.concat([head, tail]));
  }

  end(status: Status): void {
    this.#client.end(status);
  }

  hold(bytes: number): void {
    this.#client.hold(bytes);
  }

  pause(): void {
    this.#client.pause();
  }

  resume(): void {
    this.#client.resume();
  }

  #ask(lease: bigint): void {
    this.#asked.push(lease);
    this.#client.hold(BYTES);
  }
}
