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
import { Code, RpcError } from '../rpc/status.ts';
import { FieldReader } from './field-reader.ts';
import { Frame } from './frame.ts';
import type { Prefix } from './prefix.ts';
import { fieldOf, octetsOf, writeNumber } from './wire.ts';

/** Messages within messages; Go's protobuf takes no more either. */
const MAX_DEPTH = 10_000;
/** So many bytes are copied in the time that a field takes, as a shift. */
const COPY_SHIFT = 8;
/** Fewer bytes are copied one by one. */
const SHORT = 24;
/** Lengths that are kept room for between messages. */
const MAX_KEPT = 4096;

const NOTHING = Buffer.alloc(0);
const NO_END = 0;

export class KeyRewriting {
  readonly #prefix: Prefix;
  readonly #reader = new FieldReader();
  #source: Buffer = NOTHING;
  #isRequest = false;
  /** Set while it is written. */
  #out: Buffer | undefined;
  readonly #frames: Frame[] = [new Frame()];
  #depth = 0;
  #frame: Frame = this.#frames[0] as Frame;
  /** New lengths of the messages within, in their order. */
  #lengths: number[] = [];
  #slot = 0;
  #edited = false;
  /** Where the first malformed field begins, and how much of the message is kept; without one, its end. */
  #readTo = 0;
  #keepTo = 0;
  /** How much was written, and up to where the source is accounted for by it. */
  #written = 0;
  #taken = 0;
  /** Fields that may still be looked at in this turn. */
  #left = 0;

  constructor(prefix: Prefix) {
    this.#prefix = prefix;
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
    this.#out = undefined;
    this.#edited = false;
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
    if (this.#out === undefined) {
      if (!this.#walk()) return undefined;
      const root = this.#frame;
      if (!this.#edited) return this.#finish(this.#source.subarray(0, this.#keepTo));
      this.#out = Buffer.allocUnsafe(this.#keepTo + root.growth);
      this.#rewind(root.fields as KeyFields);
    }
    if (!this.#walk()) return undefined;
    this.#copy(this.#keepTo);
    if (this.#written !== this.#out.length) throw new Error('a message was measured and written differently');
    return this.#finish(this.#out);
  }

  /** Keeps nothing alive. */
  #finish(result: Uint8Array): Uint8Array {
    this.#source = NOTHING;
    this.#reader.source = NOTHING;
    this.#out = undefined;
    if (this.#lengths.length > MAX_KEPT) this.#lengths = [];
    else this.#lengths.length = 0;
    if (this.#frames.length > MAX_KEPT) this.#frames.length = 1;
    return result;
  }

  #rewind(fields: KeyFields): void {
    this.#reader.pos = 0;
    this.#slot = 0;
    this.#written = 0;
    this.#taken = 0;
    this.#depth = 0;
    this.#frame = this.#frames[0] as Frame;
    this.#open(fields, 0, 0, this.#source.length);
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
    if (reader.end < 0) return;
    const fields = this.#frame.fields as KeyFields;
    const use = fields.use(reader.tag);
    if (use === Use.message) {
      this.#enter(fields.inner(reader.tag), reader.lengthAt, reader.pos, reader.end);
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
      else this.#drop(this.#reader.start, end);
    } else if (use === Use.rangeEnd) {
      // Releases differ in what they make of an empty one that is written out; it is none.
      if (length === 0) this.#drop(this.#reader.start, end);
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

  #show(start: number, end: number): void {
    const prefix = this.#prefix;
    if (!prefix.begins(this.#source, start, end))
      throw new RpcError(
        Code.INTERNAL,
        'etcd-connect-proxy: etcd answered with a key outside of the namespace',
      );
    const from = start + prefix.bytes.length;
    this.#edit(this.#reader.lengthAt, from, NOTHING, end - from);
    if ((this.#frame.fields as KeyFields).keyFirst) this.#reader.end = this.#frame.end;
  }

  #enter(fields: KeyFields, lengthAt: number, start: number, end: number): void {
    if (this.#depth >= MAX_DEPTH)
      throw new RpcError(Code.RESOURCE_EXHAUSTED, 'etcd-connect-proxy: too many messages within messages');
    this.#depth++;
    this.#frames[this.#depth] ??= new Frame();
    this.#frame = this.#frames[this.#depth] as Frame;
    this.#open(fields, lengthAt, start, end);
    const slot = this.#slot++;
    this.#frame.slot = slot;
    if (this.#out === undefined) this.#lengths[slot] = 0;
    else this.#edit(lengthAt, start, NOTHING, this.#lengths[slot] as number);
  }

  #open(fields: KeyFields, lengthAt: number, start: number, end: number): void {
    const frame = this.#frame;
    frame.fields = fields;
    frame.lengthAt = lengthAt;
    frame.start = start;
    frame.end = end;
    frame.growth = 0;
    frame.lacks = fields.neededTag !== 0;
  }

  #leave(): void {
    const { slot, lengthAt, start, end, growth } = this.#frame;
    this.#frame = this.#frames[--this.#depth] as Frame;
    if (this.#out !== undefined) return;
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
    this.#insert(frame.end, fieldOf(fields.neededTag, contents));
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
    const out = this.#out;
    if (out === undefined) {
      this.#frame.growth += octetsOf(number) + bytes.length - (to - from);
      return;
    }
    this.#copy(from);
    const at = writeNumber(out, this.#written, number);
    if (bytes.length > 0) out.set(bytes, at);
    this.#written = at + bytes.length;
    this.#taken = to;
  }

  #insert(at: number, bytes: Buffer): void {
    this.#edited = true;
    if (this.#out === undefined) {
      this.#frame.growth += bytes.length;
      return;
    }
    this.#copy(at);
    this.#out.set(bytes, this.#written);
    this.#written += bytes.length;
  }

  #drop(from: number, to: number): void {
    this.#edited = true;
    if (this.#out === undefined) this.#frame.growth -= to - from;
    else {
      this.#copy(from);
      this.#taken = to;
    }
  }

  /** Copies the source up to a place. */
  #copy(to: number): void {
    const out = this.#out as Buffer;
    const source = this.#source;
    const length = to - this.#taken;
    if (length < SHORT)
      for (let i = 0; i < length; i++) out[this.#written + i] = source[this.#taken + i] as number;
    else {
      source.copy(out, this.#written, this.#taken, to);
      this.#left -= length >> COPY_SHIFT;
    }
    this.#written += length;
    this.#taken = to;
  }
}
