/** The leases that requests within an isolated namespace may name, where they are rewritten as bytes. */
import type { IsolationStats } from './isolation-stats.ts';
import type { LeaseIds } from './lease-ids.ts';
import { writeNumber } from './wire.ts';

/** Of an encoded id the octets from this one on hold all bits of the hash, and two others below them. */
const UPPER_FROM = 3;
/** The octet of the sign. */
const SIGN_AT = 9;

export class LeasesWithin {
  /** The id that no lease has, as protobuf writes it. */
  readonly absent: Buffer;
  readonly #stats: IsolationStats;
  /** The upper 42 bits of that id, of which the lower two are clear. */
  readonly #upper: number;

  constructor(ids: LeaseIds, stats: IsolationStats) {
    this.#stats = stats;
    this.#upper = Number(ids.absent >> BigInt(7 * UPPER_FROM));
    const lower = Number(BigInt.asUintN(7 * UPPER_FROM, ids.absent));
    // Numbers are exact up to 53 bits, so it is written in two parts; the lower one has its octets in any case.
    const octets = Buffer.alloc(SIGN_AT + 1);
    for (let i = 0; i < UPPER_FROM; i++) octets[i] = ((lower >> (7 * i)) & 0x7f) | 0x80;
    this.absent = octets.subarray(0, writeNumber(octets, UPPER_FROM, this.#upper));
  }

  /** Whether a request may name the lease whose encoded id lies there: one of the namespace, or zero, which is none. */
  allows(source: Uint8Array, from: number, to: number): boolean {
    let upper = 0;
    let lower = 0;
    let scale = 1;
    for (let at = from, octet = 0; at < to; at++, octet++) {
      const bits = (source[at] as number) & 0x7f;
      // What stands above 64 bits is nothing to any reader.
      if (octet === SIGN_AT) {
        if ((bits & 1) !== 0) return false;
      } else if (octet < UPPER_FROM) lower |= bits << (7 * octet);
      else {
        upper += bits * scale;
        scale *= 0x80;
      }
    }
    const own = upper - this.#upper;
    return upper === 0 ? lower === 0 : own >= 0 && own < 4 && (own > 0 || lower !== 0);
  }

  /** A request named another one. */
  onHidden(): void {
    this.#stats.hidden++;
  }
}
