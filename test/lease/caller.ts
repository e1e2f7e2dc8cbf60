/** A client of heartbeats without a network. */
import type { ServerStream, ServerStreamListener } from '../../src/rpc/contract.ts';
import type { Status } from '../../src/rpc/status.ts';
import { beat } from './beats.ts';

/** A client's stream. */
export class Caller implements ServerStream {
  listener!: ServerStreamListener;
  replies = 0;
  status: Status | undefined;
  paused = false;
  held = 0;

  beat(...ids: readonly bigint[]): void {
    for (const id of ids) this.listener.onMessage(beat(id));
  }

  sendHeaders(): void {}

  send(): boolean {
    this.replies++;
    return true;
  }

  sendJoined(): never {
    throw new Error('answers are whole');
  }

  end(status: Status): void {
    this.status = status;
  }

  hold(bytes: number): void {
    this.held += bytes;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }
}
