/**
 * What goes out on a client's stream: nothing while the client does not read, while a large response is being made for one of its
 * watchers, or while one is being cut into fragments.
 */
import type { ServerStream } from '../rpc/contract.ts';
import { Fragments } from './fragments.ts';

/** Bytes of fragments that are sent in one turn. */
const TURN_BYTES = 4 << 20;

/** The stream. */
export interface ClientOutputOwner {
  /** More may be sent. */
  onReady(): void;
  /** What was to be sent cannot be: ends the stream. */
  onFault(error: unknown): void;
}

export class ClientOutput {
  /** Nothing may be sent for now. */
  blocked = false;
  readonly #client: ServerStream;
  readonly #owner: ClientOutputOwner;
  #hasRoom = true;
  #isMaking = false;
  #fragments: Fragments | undefined;
  /** What is said while fragments are on their way. */
  #replies: Uint8Array[] = [];
  #turn: NodeJS.Immediate | undefined;

  constructor(client: ServerStream, owner: ClientOutputOwner) {
    this.#client = client;
    this.#owner = owner;
  }

  send(reply: Uint8Array): void {
    if (this.#fragments !== undefined) this.#replies.push(reply);
    else this.#sent(this.#client.send(reply));
  }

  sendEvents(idField: Uint8Array, tail: Buffer): void {
    this.#sent(this.#client.sendJoined(idField, tail));
  }

  /** @param limit the size of a fragment */
  sendFragments(idField: Uint8Array, tail: Buffer, limit: number): void {
    this.#fragments = new Fragments(idField, tail, limit);
    this.#goOn();
  }

  /** The client reads again. */
  onDrain(): void {
    this.#hasRoom = true;
    this.#goOn();
    if (!this.blocked) this.#owner.onReady();
  }

  /** See `WatchSink.output`. */
  onMaking(): void {
    this.#isMaking = true;
    this.blocked = true;
  }

  onMade(): void {
    this.#isMaking = false;
    this.#look();
    // Whoever waited for that goes first.
    if (!this.blocked) this.#later();
  }

  /** The stream is over. */
  close(): void {
    clearImmediate(this.#turn);
    this.#fragments = undefined;
    this.#replies = [];
  }

  #sent(hasRoom: boolean): void {
    if (hasRoom) return;
    this.#hasRoom = false;
    this.blocked = true;
  }

  #goOn(): void {
    let left = TURN_BYTES;
    while (this.#fragments !== undefined && this.#hasRoom && left > 0) {
      const fragment = this.#fragments.take();
      if (fragment === undefined) this.#fragments = undefined;
      else {
        this.#sent(this.#client.sendJoined(fragment.head, fragment.events));
        left -= fragment.events.length;
      }
    }
    if (this.#fragments === undefined) for (const reply of this.#replies.splice(0)) this.send(reply);
    else if (this.#hasRoom) this.#later();
    this.#look();
  }

  #later(): void {
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined;
      try {
        this.#goOn();
        if (!this.blocked) this.#owner.onReady();
      } catch (error) {
        this.#owner.onFault(error);
      }
    });
  }

  #look(): void {
    this.blocked = !this.#hasRoom || this.#isMaking || this.#fragments !== undefined;
  }
}
