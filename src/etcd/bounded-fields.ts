/**
 * The fields of a client's message that is read in one go, with all other work waiting. Few bytes on the wire may unpack to a
 * message of tens of millions of fields, and a group, which no message of etcd has, to as many that count as one.
 */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { Code, RpcError } from '../rpc/status.ts';

/** Fields that are looked at; those that clients send have a dozen at most. */
export const MOST_FIELDS = 4096;

/** For a message with more, or with groups. One object, so that it can be told from others. */
export const TOO_MANY_FIELDS = new RpcError(
  Code.RESOURCE_EXHAUSTED,
  `etcd-connect-proxy: the request has more than ${MOST_FIELDS} fields, or groups of them`,
);

/** A position among the fields of an encoded message. */
export class BoundedFields {
  /** For the value of the field, which has to be read or {@link skip}ped. */
  readonly reader: BinaryReader;
  field = 0;
  wireType: WireType = WireType.Varint;
  #left = MOST_FIELDS;

  constructor(message: Uint8Array) {
    this.reader = new BinaryReader(message);
  }

  /** Goes on to the next field. @returns whether there is one @throws Error for bytes that are no message, and {@link TOO_MANY_FIELDS} */
  next(): boolean {
    const { reader } = this;
    if (reader.pos >= reader.len) return false;
    [this.field, this.wireType] = reader.tag();
    if (this.#left-- === 0 || this.wireType === WireType.StartGroup) throw TOO_MANY_FIELDS;
    return true;
  }

  /** Whether it is the field of this number, in this form. */
  is(field: number, wireType: WireType): boolean {
    return this.field === field && this.wireType === wireType;
  }

  /** Passes over the value. @throws Error for bytes that are none */
  skip(): void {
    this.reader.skip(this.wireType, this.field);
  }
}
