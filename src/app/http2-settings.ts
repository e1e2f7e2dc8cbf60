/** What the flags say of the connections of clients. */
import type { Config } from '../config/config.ts';
import { type Http2ConnectionsOptions, metadataLimits } from '../listen/http2-connections.ts';

/** Resets of this many seconds may come at once. */
const RESETS_BURST_S = 4;

/** The settings of the HTTP/2 engine as the server of clients. */
export function http2Settings(config: Config): Http2ConnectionsOptions['settings'] {
  return {
    maxConcurrentStreams: config['max-concurrent-streams'],
    ...metadataLimits(config['max-metadata-bytes']),
    maxQueuedBytes: config['max-queued-bytes'],
    maxResetsPerSecond: config['max-resets-per-second'],
    maxResetsBurst: RESETS_BURST_S * config['max-resets-per-second'],
    maxControlFramesPerSecond: config['max-control-frames-per-second'],
    prefaceTimeoutMs: config['first-byte-timeout'],
    writeTimeoutMs: config['client-write-timeout'],
    minPingIntervalMs: config['grpc-keepalive-min-time'],
    keepaliveIntervalMs: config['grpc-keepalive-interval'],
    keepaliveTimeoutMs: config['grpc-keepalive-timeout'],
  };
}
