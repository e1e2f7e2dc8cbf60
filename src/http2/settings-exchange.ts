/** The exchange of SETTINGS of one connection (RFC 9113 section 6.5.3), and what it changes on open streams. */
import { ErrorCode, Http2Error } from './errors.ts';
import {
  DEFAULT_WINDOW,
  FRAME_HEADER,
  FrameFlag,
  FrameType,
  PREFACE,
  writeFrameHeader,
  writeUint32,
} from './frame.ts';
import type { Output } from './output.ts';
import type { Http2Settings, Role } from './settings.ts';
import { encodeSettings, PeerSettings } from './settings-frame.ts';
import type { StreamTable } from './stream-table.ts';
import type { Timeouts } from './timeouts.ts';

const NOTHING = new Uint8Array(0);
/** Windows moved at the cost of one control frame. */
const STREAMS_PER_FRAME = 64;
/** Larger frames are not worth it: streams take turns by the frame. */
const LARGEST_FRAME = 65_536;

/** What a connection says first, by its settings, which belong to one role. */
const greetings = new WeakMap<Http2Settings, Uint8Array>();

/** The connection whose two sides tell each other their settings. */
export interface AgreeingConnection {
  readonly isServer: boolean;
  readonly settings: Http2Settings;
  readonly output: Output;
  readonly table: StreamTable;
  readonly timeouts: Timeouts;
  readonly guard: { countControl(): void };
  /** The peer's SETTINGS were applied. */
  onSettingsChanged(first: boolean): void;
}

/** Our settings and the peer's, as far as each side knows the other's. */
export class SettingsExchange {
  readonly peer = new PeerSettings();
  /** The peer's first SETTINGS have arrived. */
  ready = false;
  /** Receive window of a new stream, in octets. */
  receiveWindow: number;
  private readonly connection: AgreeingConnection;
  private known = false;
  private noTable = false;

  constructor(connection: AgreeingConnection) {
    this.connection = connection;
    // Until the peer has seen our settings it may rely on the RFC's window.
    this.receiveWindow = Math.max(connection.settings.initialWindowSize, DEFAULT_WINDOW);
  }

  /** Appends the connection preface of our role (RFC 9113 section 3.4), and opens the connection's window. */
  sendPreface(): void {
    const { output, settings, isServer } = this.connection;
    let greeting = greetings.get(settings);
    if (greeting === undefined) {
      greeting = greetingOf(settings, isServer ? 'server' : 'client');
      greetings.set(settings, greeting);
    }
    output.bytes(greeting);
  }

  /** Our SETTINGS were acknowledged; false if they had been before. */
  onAcknowledged(): boolean {
    if (this.known) return false;
    this.known = true;
    this.connection.timeouts.onSettingsAcknowledged();
    const { settings, table } = this.connection;
    const excess = this.receiveWindow - settings.initialWindowSize;
    this.receiveWindow -= excess;
    if (excess > 0) for (const stream of table.each()) stream.input.window -= excess;
    return true;
  }

  /** The peer's SETTINGS have arrived; @throws Http2Error for values that are not allowed. */
  apply(source: Buffer, start: number, end: number): void {
    const { peer, connection } = this;
    const { output, isServer } = connection;
    const before = peer.initialWindowSize;
    peer.apply(source, start, end, isServer ? 'server' : 'client');
    output.maxFrame = Math.min(peer.maxFrameSize, LARGEST_FRAME);
    if (peer.lowestTableSize < 4096 && !this.noTable) {
      this.noTable = true;
      output.announceNoTable = true;
    }
    this.moveWindows(peer.initialWindowSize - before);
    output.frame(FrameType.SETTINGS, FrameFlag.ACK, 0, NOTHING);
    const first = !this.ready;
    this.ready = true;
    connection.onSettingsChanged(first);
  }

  /** RFC 9113 section 6.9.2: windows of open streams move by the difference, also below zero. */
  private moveWindows(delta: number): void {
    if (delta === 0) return;
    const { table, guard } = this.connection;
    let moved = 0;
    for (const stream of table.each()) {
      // A small frame that costs much: it counts for more where many streams are open.
      if (++moved % STREAMS_PER_FRAME === 0) guard.countControl();
      if (stream.moveSendWindow(delta)) continue;
      throw new Http2Error(ErrorCode.FLOW_CONTROL_ERROR, 'stream window over 2^31 - 1');
    }
  }
}

function greetingOf(settings: Http2Settings, role: Role): Uint8Array {
  const payload = encodeSettings(role, settings);
  const parts = role === 'client' ? [PREFACE] : [];
  parts.push(frame(FrameType.SETTINGS, payload));
  const more = settings.connectionWindowSize - DEFAULT_WINDOW;
  if (more > 0) {
    const window = Buffer.alloc(4);
    writeUint32(window, 0, more);
    parts.push(frame(FrameType.WINDOW_UPDATE, window));
  }
  return Buffer.concat(parts);
}

/** A frame of the connection. */
function frame(type: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(FRAME_HEADER);
  writeFrameHeader(head, 0, payload.length, type, 0, 0);
  return Buffer.concat([head, payload]);
}
