/**
 * The way of replies to a client of the web door: its connection, be that HTTP/1.1 or one of HTTP/2 that the bridge serves.
 * Each request of the latter comes on a connection of its own in memory, so the one behind it is noted here.
 */
import type { Outlet, RoomWaiter } from '../rpc/contract.ts';

/** Bytes of replies under way on a connection above which it has no room for large ones. */
const MAX_BYTES = 4 << 20;

export class WebOutlet implements Outlet {
  #bytes = 0;
  readonly #waiting = new Set<RoomWaiter>();
  #told = false;

  get room(): boolean {
    return this.#bytes <= MAX_BYTES;
  }

  wait(waiter: RoomWaiter): void {
    this.#waiting.add(waiter);
    this.#tellSoon();
  }

  leave(waiter: RoomWaiter): void {
    this.#waiting.delete(waiter);
  }

  /** A reply is on its way. */
  hold(bytes: number): void {
    this.#bytes += bytes;
  }

  /** It has gone, or nobody wants it any more. */
  release(bytes: number): void {
    this.#bytes -= bytes;
    this.#tellSoon();
  }

  /** One waiter in each turn: what it sends may take all the room. */
  #tellSoon(): void {
    if (this.#told || this.#waiting.size === 0 || !this.room) return;
    this.#told = true;
    setImmediate(() => {
      this.#told = false;
      const [first] = this.#waiting;
      if (first === undefined || !this.room) return;
      this.#waiting.delete(first);
      this.#tellSoon();
      first.onRoom();
    });
  }
}

const behind = new WeakMap<object, object>();
const outlets = new WeakMap<object, WebOutlet>();

/** Requests on this connection come from that one. */
export function comesFrom(connection: object, client: object): void {
  behind.set(connection, client);
}

/** The outlet of a connection. */
export function outletOf(connection: object): WebOutlet {
  const client = behind.get(connection) ?? connection;
  let outlet = outlets.get(client);
  if (outlet === undefined) {
    outlet = new WebOutlet();
    outlets.set(client, outlet);
  }
  return outlet;
}
