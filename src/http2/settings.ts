/**
 * Every limit and size of a connection, by name, with its defaults for the two roles. The ones that have
 * a counterpart in a SETTINGS frame name it.
 */

/** What one end of a connection offers and tolerates. Times are milliseconds, sizes octets; 0 switches a time off. */
export interface Http2Settings {
  /** SETTINGS_INITIAL_WINDOW_SIZE: what a stream may receive before it is read. Default 1 MiB client, 256 KiB server. */
  readonly initialWindowSize: number;
  /** Receive window of the whole connection. Default 16 MiB client, 4 MiB server; at least 65 535. */
  readonly connectionWindowSize: number;
  /**
   * Octets kept for paused streams of a connection. With more, the receive window of a server stays shut; a client
   * resets the stream that was paused for longest. Default 64 MiB.
   */
  readonly maxHeldBytes: number;
  /** SETTINGS_MAX_FRAME_SIZE, largest frame payload accepted. Default 16 384. */
  readonly maxFrameSize: number;
  /** SETTINGS_MAX_CONCURRENT_STREAMS of a server, more are refused; Infinity is not announced. Default 10 000. */
  readonly maxConcurrentStreams: number;
  /** Streams a client opens before it knows the peer's SETTINGS_MAX_CONCURRENT_STREAMS. Default 100. */
  readonly initialStreamLimit: number;
  /** SETTINGS_MAX_HEADER_LIST_SIZE, RFC 7541 section 4.1 size of a decoded field section. Default 64 KiB. */
  readonly maxHeaderListSize: number;
  /** CONTINUATION frames in one field block (CVE-2024-27316). Default 64. */
  readonly maxContinuationFrames: number;
  /** SETTINGS_HEADER_TABLE_SIZE, dynamic table the peer's encoder may use. Default 4 096. */
  readonly headerTableSize: number;
  /**
   * Server: streams per second that the peer resets within a second of opening them, before an answer began and
   * before the time it announced, or that we reset for the peer's mistakes (CVE-2023-44487, CVE-2025-8671). With
   * more, new streams wait, see `Gate`; 0 tolerates all. Default 500.
   */
  readonly maxResetsPerSecond: number;
  /** How many resets may come at once. Default 2 000. */
  readonly maxResetsBurst: number;
  /**
   * SETTINGS, PING, GOAWAY, empty DATA frames, interim responses, streams refused, and resets of streams that waited, per
   * second and also at once. With more, reading stops for a while, see `Brake`; 0 tolerates all. Default 10 000 server,
   * 100 000 client: gRPC servers send a PING for each round trip of data.
   */
  readonly maxControlFramesPerSecond: number;
  /** How long a peer may have more of them ready than may be read, without a break. Default 10 s. */
  readonly maxFloodMs: number;
  /** Frames in the socket that it could not write, beside up to 2 MiB of data: a peer that does not read. Default 8 MiB. */
  readonly maxUnreadBytes: number;
  /**
   * Data of all streams queued on the connection; with more the peer counts as not reading. Default 512 MiB for a server;
   * none for a client, whose owner bounds what it sends and lets nobody's requests end what others share.
   */
  readonly maxQueuedBytes: number;
  /** Data of all streams queued on the connection above which it has no room for large replies. Default 4 MiB. */
  readonly connectionHighWaterMark: number;
  /** Octets queued on a stream above which `sendData` answers false. Default 256 KiB server; 0 client, since many wait. */
  readonly streamHighWaterMark: number;
  /** Octets queued on a stream down to which `onDrain` follows. Default 64 KiB server, 0 client. */
  readonly streamLowWaterMark: number;
  /** Time for the peer's connection preface with its SETTINGS (RFC 9113 section 3.4), connecting included. Default 10 s. */
  readonly prefaceTimeoutMs: number;
  /** Time from the peer's SETTINGS until it acknowledges ours (RFC 9113 section 6.5.3). Default 20 s client, off server. */
  readonly settingsTimeoutMs: number;
  /** Time a field block may stay incomplete. Default 60 s: TCP may notice the end of a pause of 30 s only then. */
  readonly headersTimeoutMs: number;
  /** Time any other frame may. Default 10 min: a client may be stopped or suspended, and holds a frame at most. */
  readonly frameTimeoutMs: number;
  /** Time the socket may take no octet while some wait. Default 2 min. */
  readonly writeTimeoutMs: number;
  /** Silence of the peer after which it is sent a PING. Default off. */
  readonly keepaliveIntervalMs: number;
  /** Time for an answer to that PING. Default 20 s. */
  readonly keepaliveTimeoutMs: number;
  /** Client: send keepalive PINGs also without open streams. Server: tolerate them. Default false. */
  readonly permitWithoutStream: boolean;
  /** Server: a PING sooner than this after the last one, with nothing sent between them, is a strike; 0 tolerates all. Default off. */
  readonly minPingIntervalMs: number;
  /** The same without open streams, unless `permitWithoutStream`. Default 2 h. */
  readonly minIdlePingIntervalMs: number;
  /** Strikes that are forgiven before GOAWAY ENHANCE_YOUR_CALM "too_many_pings". Default 2. */
  readonly maxPingStrikes: number;
  /** Time without open streams (up to twice as long) after which the connection is drained. Default off. */
  readonly idleTimeoutMs: number;
  /** Time a closing connection waits for the peer to take the last frames. Default 1 s. */
  readonly lingerTimeoutMs: number;
}

/** The name of a bound, as reported when it was reached. */
export type LimitName = keyof Http2Settings;

/** The end of a connection this side plays. */
export type Role = 'server' | 'client';

const common = {
  maxHeldBytes: 64 << 20,
  maxFrameSize: 16_384,
  maxConcurrentStreams: 10_000,
  initialStreamLimit: 100,
  maxHeaderListSize: 64 << 10,
  maxContinuationFrames: 64,
  headerTableSize: 4096,
  maxResetsPerSecond: 500,
  maxResetsBurst: 2000,
  maxFloodMs: 10_000,
  maxUnreadBytes: 8 << 20,
  connectionHighWaterMark: 4 << 20,
  prefaceTimeoutMs: 10_000,
  headersTimeoutMs: 60_000,
  frameTimeoutMs: 600_000,
  writeTimeoutMs: 120_000,
  keepaliveIntervalMs: 0,
  keepaliveTimeoutMs: 20_000,
  permitWithoutStream: false,
  minPingIntervalMs: 0,
  minIdlePingIntervalMs: 2 * 60 * 60 * 1000,
  maxPingStrikes: 2,
  idleTimeoutMs: 0,
  lingerTimeoutMs: 1000,
} as const;

/** Defaults of the server role. */
const serverDefaults: Http2Settings = {
  ...common,
  initialWindowSize: 256 << 10,
  connectionWindowSize: 4 << 20,
  maxControlFramesPerSecond: 10_000,
  settingsTimeoutMs: 0,
  maxQueuedBytes: 512 << 20,
  streamHighWaterMark: 256 << 10,
  streamLowWaterMark: 64 << 10,
};

/** Defaults of the client role. */
const clientDefaults: Http2Settings = {
  ...common,
  initialWindowSize: 1 << 20,
  connectionWindowSize: 16 << 20,
  maxControlFramesPerSecond: 100_000,
  settingsTimeoutMs: 20_000,
  maxQueuedBytes: Number.POSITIVE_INFINITY,
  streamHighWaterMark: 0,
  streamLowWaterMark: 0,
};

/** What was given, filled up. */
const completed: Readonly<Record<Role, WeakMap<Partial<Http2Settings>, Http2Settings>>> = {
  server: new WeakMap(),
  client: new WeakMap(),
};

/**
 * Fills `given` up with the defaults of the role, once: all connections with it have the same object.
 * @throws RangeError for a value that RFC 9113 section 6.5.2 does not allow
 */
export function completeSettings(role: Role, given: Partial<Http2Settings>): Http2Settings {
  const known = completed[role].get(given);
  if (known !== undefined) return known;
  const settings = { ...(role === 'server' ? serverDefaults : clientDefaults), ...given };
  range('initialWindowSize', settings.initialWindowSize, 0, 0x7fffffff);
  range('connectionWindowSize', settings.connectionWindowSize, 65_535, 0x7fffffff);
  range('maxFrameSize', settings.maxFrameSize, 16_384, 0xffffff);
  range('headerTableSize', settings.headerTableSize, 0, 0xffffffff);
  range('maxHeaderListSize', settings.maxHeaderListSize, 1, 0xffffffff);
  range('maxConcurrentStreams', settings.maxConcurrentStreams, 0, Number.POSITIVE_INFINITY);
  completed[role].set(given, settings);
  return settings;
}

function range(name: LimitName, value: number, least: number, most: number): void {
  if (value >= least && value <= most) return;
  throw new RangeError(`${name} must be between ${least} and ${most}, not ${value}`);
}
