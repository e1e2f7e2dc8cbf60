/**
 * Streams of one connection that want what was kept for them, at the end of the turn: their reader has resumed. Where that is very
 * many messages, it is in several turns.
 */
import { WORK_PER_TURN } from './socket-link.ts';
import type { Stream } from './stream.ts';

/** The connection that they are on. */
export interface ResumedConnection {
  readonly link: { readonly messages: number };
}

export class Resuming {
  private readonly connection: ResumedConnection;
  private streams: Stream[] = [];

  constructor(connection: ResumedConnection) {
    this.connection = connection;
  }

  /** Whether any does. */
  get waiting(): boolean {
    return this.streams.length > 0;
  }

  /** One more does. */
  add(stream: Stream): void {
    this.streams.push(stream);
  }

  /** They get it; those that resume meanwhile, and those that too many messages came before, wait for the next turn. */
  deliver(): void {
    const { streams, connection } = this;
    if (streams.length === 0) return;
    this.streams = [];
    const most = connection.link.messages + WORK_PER_TURN;
    let unfinished: Stream | undefined;
    for (const stream of streams) {
      if (connection.link.messages >= most) this.streams.push(stream);
      else if (!stream.input.deliverHeld(most)) unfinished = stream;
    }
    // The others come first.
    if (unfinished !== undefined) this.streams.push(unfinished);
  }
}
