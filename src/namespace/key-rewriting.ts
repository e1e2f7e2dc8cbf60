/**
 * Rewrites the keys of one encoded message: puts the prefix before those of requests, takes it off those of replies.
 * Everything else stays the bytes that it is, unknown fields too.
 *
 * The message is walked through twice, field by field and without recursion: first to learn the new lengths of the
 * messages within, then to write into one buffer of the size that comes of it. Both walks can stop after any field and go
 * on in a later turn.
 */

import { type KeyFields, Use } from '../etcd/key-fields.ts';
import { MalformedMessage } from '../etcd/scanner.ts';
import { MAX_DEPTH } from '../etcd/strict-fields.ts';
import { Code, RpcError } from '../rpc/status.ts';
import { FieldReader } from './field-reader.ts';
import type { LeasesWithin } from './leases-within.ts';
import { OpenMessage } from './open-message.ts';
import type { Prefix } from './prefix.ts';
import { Splicer } from './splicer.ts';
import { fieldOf, octetsOf } from './wire.ts';

/** So many bytes are copied in the time that a field takes, as a shift. */
const COPY_SHIFT = 8;
/** Lengths that are kept room for between messages. */
const MAX_KEPT = 4096;

/** Lengths from this one on take more than one octet. */
const SHORT = 0x80;

const NOTHING = Buffer.alloc(0);
const NO_END = 0;

export class KeyRewriting {
  readonly #prefix: Prefix;
  readonly #leases: LeasesWithin | undefined;
  readonly #reader = new FieldReader();
  #source: Buffer = NOTHING;
  #isRequest = false;
  readonly #splicer = new Splicer();
  /** The lengths are known. */
  #writes = false;
  readonly #frames: OpenMessage[] = [new OpenMessage()];
  #depth = 0;
  #frame: OpenMessage = this.#frames[0] as OpenMessage;
  /** New lengths of the messages within, in their order. */
  #lengths: number[] = [];
  #slot = 0;
  #edited = false;
  #hides = false;
  /** Where the first malformed field begins, and how much of the message is kept; without one, its end. */
  #readTo = 0;
  #keepTo = 0;
  /** Fields that may still be looked at in this turn. */
  #left = 0;

  /** @param leases that requests may name; without them any */
  constructor(prefix: Prefix, leases?: LeasesWithin) {
    this.#prefix = prefix;
    this.#leases = leases;
  }

  /**
   * Begins with a message.
   * @param isRequest a malformed request ends right behind what makes it malformed, so that etcd refuses it and nobody
   * understands anything that stood behind; a malformed reply throws
   */
  begin(message: Uint8Array, fields: KeyFields, isRequest: boolean): void {
    this.#source = Buffer.isBuffer(message)
      ? message
      : Buffer.from(message.buffer, message.byteOffset, message.byteLength);
    this.#reader.source = this.#source;
    this.#isRequest = isRequest;
    this.#writes = false;
    this.#edited = false;
    this.#hides = false;
    this.#readTo = message.length;
    this.#keepTo = message.length;
    this.#rewind(fields);
  }

  /**
   * Goes on.
   * @param fields look at no more than about so many
   * @returns the new message, or `undefined`: there is more to do
   * @throws RpcError
   */
  advance(fields: number): Uint8Array | undefined {
    this.#left = fields;
    if (!this.#writes) {
      if (!this.#walk()) return undefined;
      const root = this.#frame;
      if (!this.#edited) return this.#finish(this.#source);
      this.#splicer.begin(this.#source, this.#keepTo + root.growth);
      this.#writes = true;
      this.#rewind(root.fields as KeyFields);
    }
    if (!this.#walk()) return undefined;
    this.#splicer.copyTo(this.#keepTo);
    return this.#finish(this.#splicer.finish());
  }

  /** Keeps nothing alive. */
  #finish(result: Uint8Array): Uint8Array {
    if (this.#hides) this.#leases?.onHidden();
    this.#source = NOTHING;
    this.#reader.source = NOTHING;
    if (this.#lengths.length > MAX_KEPT) this.#lengths = [];
    if (this.#frames.length > MAX_KEPT) this.#frames.length = 1;
    return result;
  }

  #rewind(fields: KeyFields): void {
    this.#reader.pos = 0;
    this.#slot = 0;
    this.#depth = 0;
    this.#frame = this.#frames[0] as OpenMessage;
    this.#frame.open(fields, 0, 0, this.#source.length);
  }

  /** @returns whether the walk has come to the end */
  #walk(): boolean {
    for (;;) {
      const { pos } = this.#reader;
      if (pos >= this.#frame.end || pos >= this.#readTo) {
        if (this.#frame.lacks) this.#add();
        if (this.#depth === 0) return true;
        this.#leave();
      } else if (this.#left-- <= 0) return false;
      else this.#field();
    }
  }

  #field(): void {
    const reader = this.#reader;
    if (!reader.next(this.#frame.end)) {
      this.#cut();
      return;
    }
    if (reader.end < 0) {
      if (this.#leases !== undefined) this.#hide(this.#leases);
      return;
    }
    const fields = this.#frame.fields as KeyFields;
    const use = fields.use(reader.tag);
    if (use === Use.message) {
      const inner = fields.inner(reader.tag);
      if (!this.#passPair(inner)) this.#enter(inner, reader.lengthAt, reader.pos, reader.end);
      return;
    }
    if (use !== Use.copy) this.#rewrite(use, reader.pos, reader.end);
    reader.pos = reader.end;
  }

  /** Rewrites the field that the reader is at, whose contents are given. */
  #rewrite(use: number, start: number, end: number): void {
    const prefix = this.#prefix;
    const { lengthAt } = this.#reader;
    const length = end - start;
    if (use === Use.shown) this.#show(start, end);
    else if (use === Use.listed) {
      if (length > prefix.bytes.length && prefix.begins(this.#source, start, end)) this.#show(start, end);
      else this.#replace(this.#reader.start, end, NOTHING);
    } else if (use === Use.rangeEnd) {
      // Releases differ in what they make of an empty one that is written out; it is none.
      if (length === 0) this.#replace(this.#reader.start, end, NOTHING);
      else if (length === 1 && this.#source[start] === NO_END)
        this.#edit(lengthAt, end, prefix.end, prefix.end.length);
      else this.#prepend(start, length);
    } else {
      this.#frame.lacks &&= (this.#frame.fields as KeyFields).neededTag !== this.#reader.tag;
      if (length > 0 || use === Use.name) this.#prepend(start, length);
      else if (use === Use.watchKey) this.#edit(lengthAt, end, prefix.least, prefix.least.length);
    }
  }

  #prepend(start: number, length: number): void {
    const { bytes } = this.#prefix;
    this.#edit(this.#reader.lengthAt, start, bytes, bytes.length + length);
  }

  /**
   * Passes a pair whose key is its first field, which is how etcd writes them; nothing else in it is a key. Most of what
   * large replies have is such pairs, so it is done without a frame.
   */
  #passPair({ keyTag }: KeyFields): boolean {
    const source = this.#source;
    const { pos, end, lengthAt } = this.#reader;
    const length = source[pos + 1] as number;
    if (keyTag === 0 || source[pos] !== keyTag || length >= SHORT || pos + 2 + length > end) return false;
    const start = pos + 2;
    this.#assertWithin(start, start + length);
    const taken = this.#prefix.bytes.length;
    const left = end - pos - taken;
    this.#reader.pos = end;
    this.#edited = true;
    if (!this.#writes) this.#frame.growth += octetsOf(left) - (pos - lengthAt) - taken;
    else {
      const splicer = this.#splicer;
      this.#left -= splicer.copyTo(lengthAt) >> COPY_SHIFT;
      splicer.writeNumber(left);
      splicer.writeNumber(keyTag);
      splicer.writeNumber(length - taken);
      splicer.passTo(start + taken);
    }
    return true;
  }

  #assertWithin(start: number, end: number): void {
    if (!this.#prefix.begins(this.#source, start, end))
      throw new RpcError(
        Code.INTERNAL,
        'etcd-connect-proxy: etcd answered with a key outside of the namespace',
      );
  }

  #show(start: number, end: number): void {
    this.#assertWithin(start, end);
    const from = start + this.#prefix.bytes.length;
    this.#edit(this.#reader.lengthAt, from, NOTHING, end - from);
  }

  /** Has a number that is a lease of elsewhere be one that is not there. */
  #hide(leases: LeasesWithin): void {
    const { tag, lengthAt, pos } = this.#reader;
    if ((this.#frame.fields as KeyFields).use(tag) !== Use.lease) return;
    if (leases.allows(this.#source, lengthAt, pos)) return;
    this.#hides = true;
    this.#replace(lengthAt, pos, leases.absent);
  }

  #enter(fields: KeyFields, lengthAt: number, start: number, end: number): void {
    if (this.#depth >= MAX_DEPTH)
      throw new RpcError(Code.RESOURCE_EXHAUSTED, 'etcd-connect-proxy: too many messages within messages');
    this.#depth++;
    this.#frames[this.#depth] ??= new OpenMessage();
    this.#frame = this.#frames[this.#depth] as OpenMessage;
    this.#frame.open(fields, lengthAt, start, end);
    const slot = this.#slot++;
    this.#frame.slot = slot;
    if (!this.#writes) this.#lengths[slot] = 0;
    else this.#edit(lengthAt, start, NOTHING, this.#lengths[slot] as number);
  }

  #leave(): void {
    const { slot, lengthAt, start, end, growth } = this.#frame;
    this.#frame = this.#frames[--this.#depth] as OpenMessage;
    if (this.#writes) return;
    const length = Math.min(end, this.#keepTo) - start + growth;
    this.#lengths[slot] = length;
    this.#frame.growth += growth + octetsOf(length) - (start - lengthAt);
  }

  /** Adds the field that the message needs and does not have; a malformed one is as it is. */
  #add(): void {
    const frame = this.#frame;
    frame.lacks = false;
    if (frame.end > this.#readTo) return;
    const fields = frame.fields as KeyFields;
    const { bytes, least } = this.#prefix;
    const contents = fields.use(fields.neededTag) === Use.name ? bytes : least;
    this.#replace(frame.end, frame.end, fieldOf(fields.neededTag, contents));
  }

  #cut(): void {
    if (!this.#isRequest) throw new MalformedMessage('field');
    this.#readTo = this.#reader.start;
    this.#keepTo = this.#reader.pos;
    this.#edited ||= this.#keepTo < this.#source.length;
    this.#reader.pos = this.#readTo;
  }

  /** Puts a number and some bytes in place of what lies between two places. */
  #edit(from: number, to: number, bytes: Buffer, number: number): void {
    this.#edited = true;
    if (!this.#writes) {
      this.#frame.growth += octetsOf(number) + bytes.length - (to - from);
      return;
    }
    this.#left -= this.#splicer.copyTo(from) >> COPY_SHIFT;
    this.#splicer.writeNumber(number);
    this.#splicer.writeBytes(bytes);
    this.#splicer.passTo(to);
  }

  #replace(from: number, to: number, bytes: Buffer): void {
    this.#edited = true;
    if (!this.#writes) {
      this.#frame.growth += bytes.length - (to - from);
      return;
    }
    this.#left -= this.#splicer.copyTo(from) >> COPY_SHIFT;
    this.#splicer.writeBytes(bytes);
    this.#splicer.passTo(to);
  }
}
