/** Streams of one connection that want what was kept for them, at the end of the turn: their reader has resumed. */
import type { Stream } from './stream.ts';

export class Resuming {
  private streams: Stream[] = [];

  /** Whether any does. */
  get waiting(): boolean {
    return this.streams.length > 0;
  }

  /** One more does. */
  add(stream: Stream): void {
    this.streams.push(stream);
  }

  /** They get it; those that resume meanwhile wait for the next turn. */
  deliver(): void {
    const { streams } = this;
    if (streams.length === 0) return;
    this.streams = [];
    for (const stream of streams) stream.input.deliverHeld();
  }
}
