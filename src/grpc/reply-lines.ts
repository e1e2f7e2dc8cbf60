/**
 * Large replies of unary calls on their way to clients. A connection is given them one after the other as it has room;
 * those that wait are kept by reference, so one that many calls share costs its bytes once. What all of them hold is
 * bounded: the connection that leaves most unread goes.
 */
import type { ConnectionHandle } from '../http2/index.ts';
import type { Outlet, RoomWaiter } from '../rpc/contract.ts';
import { PassingMap } from '../rpc/passing-map.ts';

/** The limit of unread replies of all connections together, as a multiple of that of one. */
const SHARE = 2;

/** Bytes by the object that has them. */
class Held {
  bytes = 0;
  readonly #counts = new PassingMap<Uint8Array, number>();

  add(message: Uint8Array): void {
    const count = this.#counts.get(message) ?? 0;
    this.#counts.set(message, count + 1);
    if (count === 0) this.bytes += message.length;
  }

  remove(message: Uint8Array): void {
    const count = (this.#counts.get(message) as number) - 1;
    if (count > 0) this.#counts.set(message, count);
    else {
      this.#counts.delete(message);
      this.bytes -= message.length;
    }
  }
}

/** The replies to the calls of one connection. */
export class ReplyLine implements Outlet {
  readonly held = new Held();
  readonly connection: ConnectionHandle;
  readonly #lines: ReplyLines;
  readonly #waiting = new Set<RoomWaiter>();

  constructor(lines: ReplyLines, connection: ConnectionHandle) {
    this.#lines = lines;
    this.connection = connection;
  }

  get room(): boolean {
    return this.connection.room.free;
  }

  wait(waiter: RoomWaiter): void {
    this.#waiting.add(waiter);
    this.#listen();
  }

  leave(waiter: RoomWaiter): void {
    this.#waiting.delete(waiter);
  }

  /** A large reply is kept for the client, until it is {@link release}d. */
  hold(message: Uint8Array): void {
    this.held.add(message);
    this.#lines.hold(this, message);
  }

  /** The reply has gone, or nobody wants it any more. */
  release(message: Uint8Array): void {
    this.held.remove(message);
    this.#lines.release(this, message);
  }

  /** One waiter in each turn: what it sends may take all the room. */
  #listen(): void {
    if (this.#waiting.size > 0) this.connection.room.whenFree(this.#next);
  }

  readonly #next = (): void => {
    const [first] = this.#waiting;
    if (first === undefined) return;
    this.#waiting.delete(first);
    this.#listen();
    first.onRoom();
  };
}

/** Those of all connections. */
export class ReplyLines {
  readonly #lines = new WeakMap<ConnectionHandle, ReplyLine>();
  readonly #holding = new Set<ReplyLine>();
  readonly #held = new Held();

  /** Bytes of all large replies that are kept for clients. */
  get bytes(): number {
    return this.#held.bytes;
  }

  /** The replies of a connection. */
  of(connection: ConnectionHandle): ReplyLine {
    let line = this.#lines.get(connection);
    if (line === undefined) {
      line = new ReplyLine(this, connection);
      this.#lines.set(connection, line);
    }
    return line;
  }

  /** @internal */
  hold(line: ReplyLine, message: Uint8Array): void {
    this.#held.add(message);
    this.#holding.add(line);
    const { maxQueuedBytes } = line.connection.settings;
    if (line.held.bytes > maxQueuedBytes) endSoon(line);
    else if (this.#held.bytes > SHARE * maxQueuedBytes) this.#endLargest();
  }

  /** @internal */
  release(line: ReplyLine, message: Uint8Array): void {
    this.#held.remove(message);
    if (line.held.bytes === 0) this.#holding.delete(line);
  }

  #endLargest(): void {
    let largest: ReplyLine | undefined;
    for (const line of this.#holding)
      if (largest === undefined || line.held.bytes > largest.held.bytes) largest = line;
    if (largest !== undefined) endSoon(largest);
  }
}

/** Ends the connection in a later turn: one of its calls may be running now. */
function endSoon({ connection }: ReplyLine): void {
  setImmediate(() => {
    if (!connection.closed) connection.overrun('maxQueuedBytes');
  });
}
