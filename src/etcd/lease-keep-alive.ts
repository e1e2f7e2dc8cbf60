/**
 * The two messages of `LeaseKeepAlive`, of which only the lease is read: field 1 of a request, field 2 of a reply. All 64
 * bits count, and no number of JavaScript has them, so a lease is two halves of 32 bits.
 */
import { HEADER_TAG } from './header.ts';
import { LeaseTag } from './lease-tags.ts';

/** The bytes of the longest varint. */
const MAX_VARINT = 10;

/** A lease. */
export interface LeaseId {
  /** The lower half, as a signed number. */
  readonly low: number;
  /** The upper half, as a signed number. */
  readonly high: number;
}

/** Reads leases, one after the other: the latest one is in here, so that none costs an object. */
export class LeaseReader implements LeaseId {
  low = 0;
  high = 0;

  /** Reads that of a request. @returns whether the request is a lease and nothing else, as etcd's clients write it */
  readRequest(request: Uint8Array): boolean {
    this.low = 0;
    this.high = 0;
    if (request.length === 0) return true;
    return request[0] === LeaseTag.ofLease && this.#varint(request, 1) === request.length;
  }

  /** Whether a reply is about a lease. */
  isReplyTo(reply: Uint8Array, { low, high }: LeaseId): boolean {
    this.low = 0;
    this.high = 0;
    // The header is the first field, and short.
    const at = reply[0] === HEADER_TAG ? 2 + (reply[1] as number) : 0;
    if (reply[at] === LeaseTag.reply && this.#varint(reply, at + 1) === 0) return false;
    return this.low === low && this.high === high;
  }

  /** @returns where the varint ends, or 0 where none is */
  #varint(bytes: Uint8Array, start: number): number {
    let low = 0;
    let high = 0;
    for (let i = 0; i < MAX_VARINT; i++) {
      const byte = bytes[start + i];
      if (byte === undefined) return 0;
      const bits = byte & 0x7f;
      if (i < 4) low |= bits << (7 * i);
      else if (i > 4) high |= bits << (7 * i - 32);
      else {
        low |= bits << 28;
        high = bits >> 4;
      }
      if (byte >= 0x80) continue;
      // The last of ten bytes has room for one bit.
      if (i === MAX_VARINT - 1 && byte > 1) return 0;
      this.low = low;
      this.high = high;
      return start + i + 1;
    }
    return 0;
  }
}

/** Writes the request to keep a lease alive. */
export function keepAliveRequest({ low, high }: LeaseId): Uint8Array {
  const bytes = Buffer.allocUnsafe(1 + MAX_VARINT);
  let length = 0;
  bytes[length++] = LeaseTag.ofLease;
  let [rest, upper] = [low >>> 0, high >>> 0];
  while (upper > 0 || rest >= 0x80) {
    bytes[length++] = (rest & 0x7f) | 0x80;
    rest = ((rest >>> 7) | (upper << 25)) >>> 0;
    upper >>>= 7;
  }
  bytes[length++] = rest;
  return bytes.subarray(0, length);
}
