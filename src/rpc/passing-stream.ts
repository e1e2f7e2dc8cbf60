/**
 * A client's stream as its handler sees it, where something stands between the two. What that does not change goes through
 * as it is.
 */
import type { ServerStream, ServerStreamListener } from './contract.ts';
import type { Status } from './status.ts';

export abstract class PassingStream implements ServerStream {
  abstract listener: ServerStreamListener;
  protected readonly client: ServerStream;

  constructor(client: ServerStream) {
    this.client = client;
  }

  abstract send(message: Uint8Array): boolean;

  /** As one message: who looks at messages wants to see them whole. */
  sendJoined(head: Uint8Array, tail: Uint8Array): boolean {
    return this.send(Buffer.concat([head, tail]));
  }

  sendHeaders(): void {
    this.client.sendHeaders();
  }

  end(status: Status): void {
    this.client.end(status);
  }

  hold(bytes: number): void {
    this.client.hold(bytes);
  }

  pause(): void {
    this.client.pause();
  }

  resume(): void {
    this.client.resume();
  }
}
