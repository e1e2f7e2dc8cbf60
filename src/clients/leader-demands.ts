/** What the streams of clients that demand a leader need of whoever watches for one. */

/** A client's stream that demands a leader. */
export interface LeaderSink {
  /** There is one; not called within {@link LeaderDemands.add}. */
  onLeader(): void;
  /** Ends the whole stream. */
  fail(code: number, message: string): void;
}

/** Ends the streams that demand a leader when there is none. */
export interface LeaderDemands {
  /** A stream begins. */
  add(sink: LeaderSink): void;
  /** It is over. */
  remove(sink: LeaderSink): void;
}
