/**
 * Reads requests as the most lenient etcd does, whose numbers wrap around and whose groups are passed by: what it
 * understands as keys must be keys for the proxy too.
 */
import type { KeyFields } from '../../src/etcd/key-fields.ts';
import { Use } from '../../src/etcd/key-fields.ts';

/** What a request names, as far as it can be read. */
export interface Named {
  /** Keys, names and the keys of watches. */
  readonly keys: Uint8Array[];
  readonly ends: Uint8Array[];
  readonly leases: bigint[];
}

class Refused extends Error {}

/** What etcd would understand; `undefined`: it refuses the message. */
export function readAsEtcd(message: Uint8Array, fields: KeyFields): Named | undefined {
  const named: Named = { keys: [], ends: [], leases: [] };
  try {
    read(message, fields, named);
    return named;
  } catch (error) {
    if (error instanceof Refused) return undefined;
    throw error;
  }
}

class Bytes {
  at = 0;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** A number of 64 bits; what does not fit is lost. */
  number(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.bytes[this.at++];
      if (shift >= 64n || byte === undefined) throw new Refused();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
  }

  take(): Uint8Array {
    const length = Number(BigInt.asIntN(64, this.number()));
    if (length < 0 || this.at + length > this.bytes.length) throw new Refused();
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  skip(wireType: number): void {
    if (wireType === 0) this.number();
    else if (wireType === 2) this.take();
    else if (wireType === 1) this.at += 8;
    else if (wireType === 5) this.at += 4;
    else if (wireType !== 3) throw new Refused();
    else
      for (;;) {
        const inner = Number(this.number() & 7n);
        if (inner === 4) return;
        this.skip(inner);
      }
    if (this.at > this.bytes.length) throw new Refused();
  }
}

function read(message: Uint8Array, fields: KeyFields, named: Named): void {
  const bytes = new Bytes(message);
  while (bytes.at < message.length) {
    const wire = bytes.number();
    const wireType = Number(wire & 7n);
    const number = Number(BigInt.asIntN(32, wire >> 3n));
    if (wireType === 4 || number <= 0) throw new Refused();
    const use = fields.use(number * 8 + 2);
    if (fields.use(number * 8) === Use.lease) {
      if (wireType !== 0) throw new Refused();
      named.leases.push(BigInt.asIntN(64, bytes.number()));
    } else if (use === Use.copy) bytes.skip(wireType);
    else if (wireType !== 2) throw new Refused();
    else if (use === Use.message) read(bytes.take(), fields.inner(number * 8 + 2), named);
    else (use === Use.rangeEnd ? named.ends : named.keys).push(bytes.take());
  }
}
