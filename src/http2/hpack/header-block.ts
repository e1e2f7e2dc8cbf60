/** A decoded field block: the flat header list and what was found out about it, shared by all its repetitions. */

/** Flat list name, value, name, value, ...: lower-case names, latin1 values, pseudo-header fields first. */
export type HeaderList = readonly string[];

/** How {@link HeaderBlock.kind} says what a block may be used as; filled in by the header rules. */
export const BlockKind = { UNCHECKED: 0, MALFORMED: 1, REQUEST: 2, RESPONSE: 3, TRAILERS: 4 } as const;

/** The result of decoding one field block. */
export class HeaderBlock {
  readonly list: HeaderList;
  /** True when the list was over the limit: `list` is then incomplete and only good for refusing it. */
  readonly tooLarge: boolean;
  /** The size of the list as RFC 7541 section 4.1 counts it. */
  readonly size: number;
  /** One of {@link BlockKind}. */
  kind: number = BlockKind.UNCHECKED;
  /** The value of content-length, -1 without one. */
  contentLength = -1;
  /** In a request, that its :path does not begin with a slash (RFC 9113 section 8.3.1). */
  oddPath = false;
  /** The value of :status in a response, 0 otherwise. */
  status = 0;

  /** @param limit what a list may be long */
  constructor(list: HeaderList, size: number, limit: number) {
    this.list = list;
    this.size = size;
    this.tooLarge = size > limit;
  }
}
