/** SETTINGS frames (RFC 9113 section 6.5): writing ours, and reading the peer's into a {@link PeerSettings}. */
import { ErrorCode, Http2Error, protocolError } from './errors.ts';
import { DEFAULT_MAX_FRAME, DEFAULT_WINDOW, MAX_31_BITS, SettingId } from './frame.ts';
import type { Http2Settings, Role } from './settings.ts';

const ENTRY = 6;

/** What the peer has asked for. */
export class PeerSettings {
  /** The lowest SETTINGS_HEADER_TABLE_SIZE so far, in octets. */
  lowestTableSize = 4096;
  /** SETTINGS_MAX_CONCURRENT_STREAMS; Infinity when the peer sets no limit. */
  maxConcurrentStreams: number = Number.POSITIVE_INFINITY;
  /** SETTINGS_INITIAL_WINDOW_SIZE in octets. */
  initialWindowSize: number = DEFAULT_WINDOW;
  /** SETTINGS_MAX_FRAME_SIZE in octets. */
  maxFrameSize: number = DEFAULT_MAX_FRAME;

  /**
   * Applies the payload of a SETTINGS frame in order.
   * @param role our role: a server must not enable push
   * @throws Http2Error for values out of range (RFC 9113 section 6.5.2)
   */
  apply(source: Buffer, start: number, end: number, role: Role): void {
    for (let at = start; at < end; at += ENTRY) {
      this.set(source.readUInt16BE(at), source.readUInt32BE(at + 2), role);
    }
  }

  private set(id: number, value: number, role: Role): void {
    switch (id) {
      case SettingId.HEADER_TABLE_SIZE:
        this.lowestTableSize = Math.min(this.lowestTableSize, value);
        break;
      case SettingId.ENABLE_PUSH:
        if (value > (role === 'server' ? 1 : 0)) throw protocolError('bad SETTINGS_ENABLE_PUSH');
        break;
      case SettingId.MAX_CONCURRENT_STREAMS:
        this.maxConcurrentStreams = value;
        break;
      case SettingId.INITIAL_WINDOW_SIZE:
        if (value > MAX_31_BITS)
          throw new Http2Error(ErrorCode.FLOW_CONTROL_ERROR, 'initial window too large');
        this.initialWindowSize = value;
        break;
      case SettingId.MAX_FRAME_SIZE:
        if (value < DEFAULT_MAX_FRAME || value > 0xffffff) throw protocolError('bad SETTINGS_MAX_FRAME_SIZE');
        this.maxFrameSize = value;
        break;
      default: // RFC 9113 section 6.5.2: unknown settings are ignored.
    }
  }
}

/** The payload of our SETTINGS frame; defaults of the RFC are left out. */
export function encodeSettings(role: Role, settings: Http2Settings): Buffer {
  const pairs: [number, number][] = [[SettingId.MAX_HEADER_LIST_SIZE, settings.maxHeaderListSize]];
  if (role === 'client') pairs.push([SettingId.ENABLE_PUSH, 0]);
  if (role === 'server' && settings.maxConcurrentStreams <= 0xffffffff) {
    pairs.push([SettingId.MAX_CONCURRENT_STREAMS, settings.maxConcurrentStreams]);
  }
  if (settings.initialWindowSize !== DEFAULT_WINDOW) {
    pairs.push([SettingId.INITIAL_WINDOW_SIZE, settings.initialWindowSize]);
  }
  if (settings.maxFrameSize !== DEFAULT_MAX_FRAME)
    pairs.push([SettingId.MAX_FRAME_SIZE, settings.maxFrameSize]);
  if (settings.headerTableSize !== 4096) pairs.push([SettingId.HEADER_TABLE_SIZE, settings.headerTableSize]);
  const payload = Buffer.alloc(ENTRY * pairs.length);
  pairs.forEach(([id, value], i) => {
    payload.writeUInt16BE(id, ENTRY * i);
    payload.writeUInt32BE(value, ENTRY * i + 2);
  });
  return payload;
}
