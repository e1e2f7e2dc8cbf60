/** What happens to heartbeats, as plain numbers; the metrics read them at each scrape. */

/** Why a client's stream has a stream of its own to etcd. */
export type ApartReason = 'malformed' | 'refused' | 'strange';

/** A bound that was reached. */
export type LeaseLimit = 'connection' | 'lingering' | 'refused' | 'streams' | 'tokens' | 'unanswered';

export class LeaseStats {
  /** Streams of clients that share. */
  clientStreams = 0;
  /** Streams to etcd that they share. */
  streams = 0;
  /** Heartbeats of clients. */
  heartbeats = 0;
  /** Of these, the ones that shared the answer of another one. */
  joined = 0;
  /** Heartbeats sent again because their stream was lost, or ended by the refusal of another one. */
  resent = 0;
  /** Heartbeats that etcd refused. */
  refused = 0;
  /** Streams of clients that were left to etcd. */
  readonly apart: Record<ApartReason, number> = { malformed: 0, refused: 0, strange: 0 };
  readonly limits: Record<LeaseLimit, number> = {
    connection: 0,
    lingering: 0,
    refused: 0,
    streams: 0,
    tokens: 0,
    unanswered: 0,
  };
}
