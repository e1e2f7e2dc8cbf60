/**
 * What is to be told to the client of a stream, and is kept back: replies in their order, and the end if it comes
 * meanwhile. Whoever makes them hears that there is no room, so that not many follow. Their bytes count as the stream's.
 */
import type { ServerStream } from '../rpc/contract.ts';
import type { Status } from '../rpc/status.ts';

/** A reply, in one part or two. */
export interface HeldReply {
  readonly head: Uint8Array;
  readonly tail: Uint8Array | undefined;
}

export class HeldReplies {
  /** How the stream is to end behind them. */
  end: Status | undefined;
  readonly #client: ServerStream;
  readonly #replies: HeldReply[] = [];
  #bytes = 0;

  constructor(client: ServerStream) {
    this.#client = client;
  }

  /** @returns `false`: there is no room for more, as `ServerStream.send` says it */
  add(head: Uint8Array, tail?: Uint8Array): false {
    if (this.end !== undefined) return false;
    const bytes = head.length + (tail?.length ?? 0);
    this.#replies.push({ head, tail });
    this.#bytes += bytes;
    this.#client.hold(bytes);
    return false;
  }

  /** All of them, which are kept no longer. */
  take(): HeldReply[] {
    this.#client.hold(-this.#bytes);
    this.#bytes = 0;
    return this.#replies.splice(0);
  }
}
