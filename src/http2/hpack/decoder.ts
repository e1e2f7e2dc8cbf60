/**
 * The HPACK decoder of one connection (RFC 7541): field block in, header list out. It keeps the dynamic
 * table in step with the peer's encoder, and bounds what a block may expand to.
 */
import { ErrorCode, Http2Error } from '../errors.ts';
import { BlockMemo } from './block-memo.ts';
import { DynamicTable, FIELD_OVERHEAD } from './dynamic-table.ts';
import type { FirstBlocks } from './first-blocks.ts';
import { HeaderBlock } from './header-block.ts';
import { huffmanDecode } from './huffman.ts';
import { STATIC_FIELDS, staticTable } from './static-table.ts';

/** RFC 9113 section 6.5.2: the table size in force until SETTINGS say otherwise. */
const INITIAL_TABLE_SIZE = 4096;
/** A list this many times over its limit is an attack, not a mistake. */
const BOMB_FACTOR = 4;
/** No length or index of a sane block needs more bits; more is an overflow (RFC 7541 section 5.1). */
const MAX_INTEGER = 1 << 28;

const NOTHING = Buffer.alloc(0);

/** Decodes the field blocks of one direction of a connection, in the order of their arrival. */
export class HpackDecoder {
  private readonly table = new DynamicTable(INITIAL_TABLE_SIZE);
  private readonly memo = new BlockMemo();
  private readonly maxListSize: number;
  private readonly bombSize: number;
  private tableLimit: number;
  private mustResize = false;
  /** Until the first block. */
  private firsts: FirstBlocks | undefined;
  private source: Buffer = NOTHING;
  private at = 0;
  private end = 0;
  private list: string[] = [];
  private listSize = 0;

  /**
   * @param tableSize our SETTINGS_HEADER_TABLE_SIZE in octets
   * @param maxListSize our SETTINGS_MAX_HEADER_LIST_SIZE in octets (RFC 9113 section 6.5.2)
   * @param bombFactor a list so many times as long is an error of the connection
   * @param firsts remembers first blocks, where these are requests
   */
  constructor(tableSize: number, maxListSize: number, bombFactor = BOMB_FACTOR, firsts?: FirstBlocks) {
    this.firsts = firsts;
    this.tableLimit = Math.max(tableSize, INITIAL_TABLE_SIZE);
    this.maxListSize = maxListSize;
    this.bombSize = bombFactor * maxListSize;
  }

  /** The peer acknowledged our table size: a smaller table must now be announced by its next block. */
  acknowledge(tableSize: number): void {
    this.tableLimit = tableSize;
    this.mustResize = this.table.maxSize > tableSize;
  }

  /**
   * Decodes one whole field block, `source[start, end)`. Equal blocks may give the same object.
   * @throws Http2Error COMPRESSION_ERROR for bytes that are not HPACK (RFC 9113 section 4.3), and
   * ENHANCE_YOUR_CALM for a block that expands to several times the allowed list size.
   */
  decode(source: Buffer, start: number, end: number): HeaderBlock {
    const { firsts } = this;
    if (firsts === undefined) return this.next(source, start, end);
    this.firsts = undefined;
    return this.first(firsts, source, start, end);
  }

  private first(firsts: FirstBlocks, source: Buffer, start: number, end: number): HeaderBlock {
    const { table, maxListSize } = this;
    const known = this.mustResize ? undefined : firsts.find(source, start, end, maxListSize);
    if (known !== undefined) {
      const { inserted } = known;
      for (let i = 0; i < inserted.length; i += 2)
        table.insert(inserted[i] as string, inserted[i + 1] as string);
      return known.block;
    }
    this.read(source, start, end);
    const block = new HeaderBlock(this.list, this.listSize, maxListSize);
    const { inserted } = table;
    if (inserted !== undefined) firsts.store(source, start, end, maxListSize, { block, inserted });
    return block;
  }

  private next(source: Buffer, start: number, end: number): HeaderBlock {
    const known = this.mustResize ? undefined : this.memo.find(source, start, end, this.table.generation);
    if (known !== undefined) return known;
    const before = this.table.generation;
    const indexed = this.read(source, start, end);
    const block = new HeaderBlock(this.list, this.listSize, this.maxListSize);
    if (before === this.table.generation) this.memo.store(source, start, end, block, indexed, before);
    return block;
  }

  /** Reads the fields into the list. @returns whether one of them refers to the dynamic table */
  private read(source: Buffer, start: number, end: number): boolean {
    this.source = source;
    this.at = start;
    this.end = end;
    this.list = [];
    this.listSize = 0;
    this.resizes();
    let indexed = false;
    while (this.at < this.end) indexed = this.field() || indexed;
    this.source = NOTHING; // do not keep a whole read buffer alive
    return indexed;
  }

  /** Dynamic table size updates, allowed only in front (RFC 7541 section 4.2). */
  private resizes(): void {
    while (this.at < this.end && ((this.source[this.at] as number) & 0xe0) === 0x20) {
      const size = this.integer(5);
      if (size > this.tableLimit) throw compressionError('table size update over the limit');
      this.table.maxSize = size;
      this.mustResize = false;
    }
    if (this.mustResize) throw compressionError('no table size update after the limit was lowered');
  }

  /** One field (RFC 7541 section 6); true when it refers to the dynamic table. */
  private field(): boolean {
    const first = this.source[this.at] as number;
    if (first >= 0x80) {
      const index = this.integer(7);
      this.push(this.nameAt(index), this.valueAt(index));
      return index > STATIC_FIELDS;
    }
    if ((first & 0xe0) === 0x20) throw compressionError('table size update after a field');
    const insert = first >= 0x40;
    const index = this.integer(insert ? 6 : 4);
    const name = index === 0 ? this.text() : this.nameAt(index);
    const value = this.text();
    if (insert) this.table.insert(name, value);
    this.push(name, value);
    return index > STATIC_FIELDS;
  }

  private push(name: string, value: string): void {
    this.listSize += name.length + value.length + FIELD_OVERHEAD;
    if (this.listSize <= this.maxListSize) {
      this.list.push(name, value);
    } else if (this.listSize > this.bombSize) {
      throw new Http2Error(ErrorCode.ENHANCE_YOUR_CALM, 'header list far over the limit');
    }
  }

  private nameAt(index: number): string {
    const name = index <= STATIC_FIELDS ? staticTable[2 * index] : this.table.name(index - STATIC_FIELDS - 1);
    if (name === undefined || index === 0) throw compressionError('no field with this index');
    return name;
  }

  private valueAt(index: number): string {
    if (index <= STATIC_FIELDS) return staticTable[2 * index + 1] as string;
    return this.table.value(index - STATIC_FIELDS - 1);
  }

  /** An integer with a prefix of `bits` bits (RFC 7541 section 5.1). */
  private integer(bits: number): number {
    const most = (1 << bits) - 1;
    let value = (this.source[this.at++] as number) & most;
    if (value < most) return value;
    for (let shift = 0; this.at < this.end && shift <= 21; shift += 7) {
      const octet = this.source[this.at++] as number;
      value += (octet & 0x7f) << shift;
      if (octet < 0x80) return value;
    }
    throw compressionError(
      this.at < this.end || value > MAX_INTEGER ? 'integer overflow' : 'block ends early',
    );
  }

  /** A string literal (RFC 7541 section 5.2). */
  private text(): string {
    if (this.at >= this.end) throw compressionError('block ends early');
    const huffman = (this.source[this.at] as number) >= 0x80;
    const length = this.integer(7);
    const start = this.at;
    if (length > this.end - start) throw compressionError('string longer than its block');
    this.at = start + length;
    if (huffman) return huffmanDecode(this.source, start, this.at);
    return this.source.toString('latin1', start, this.at);
  }
}

function compressionError(message: string): Http2Error {
  return new Http2Error(ErrorCode.COMPRESSION_ERROR, message);
}
