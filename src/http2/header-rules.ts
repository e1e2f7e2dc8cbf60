/**
 * What a field section must look like (RFC 9113 section 8.2 and 8.3). A block is judged once; its verdict
 * is kept with it, so a memoised block costs nothing.
 */
import { BlockKind, type HeaderBlock, type HeaderList } from './hpack/header-block.ts';

const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/**
 * RFC 9113 section 8.2.1: no NUL, CR or LF. White space at either end is left to whoever reads a value: Go's gRPC
 * sends it in metadata and in the text of a status, and takes it.
 */
const BAD_VALUE = /[\0\r\n]/;
/** RFC 9113 section 8.2.2. */
const CONNECTION_SPECIFIC = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);

const METHOD = 1;
const SCHEME = 2;
const PATH = 4;
const AUTHORITY = 8;
const STATUS = 16;
const pseudoBits = new Map([
  [':method', METHOD],
  [':scheme', SCHEME],
  [':path', PATH],
  [':authority', AUTHORITY],
  [':status', STATUS],
]);

/**
 * True for a well-formed request (RFC 9113 section 8.3.1); odd authorities are let through, and odd paths are for
 * the caller to judge: sets `block.oddPath`.
 */
export function isRequest(block: HeaderBlock): boolean {
  return judge(block, BlockKind.REQUEST);
}

/** True for a well-formed response, final or interim (RFC 9113 section 8.3.2); sets `block.status`. */
export function isResponse(block: HeaderBlock): boolean {
  return judge(block, BlockKind.RESPONSE);
}

/** True for well-formed trailers (RFC 9113 section 8.1). */
export function isTrailers(block: HeaderBlock): boolean {
  return judge(block, BlockKind.TRAILERS);
}

function judge(block: HeaderBlock, kind: number): boolean {
  if (block.kind === BlockKind.UNCHECKED) {
    const pseudo = pseudoFields(block.list);
    const good =
      pseudo >= 0 &&
      regularFields(block, pseudo >>> 5) &&
      pseudoAllowed(block, pseudo & 31, pseudo >>> 5, kind);
    block.kind = good ? kind : BlockKind.MALFORMED;
  }
  // A block of two different uses on one connection (trailers like a request) is malformed in one of them.
  return block.kind === kind;
}

/** The bits of the pseudo-header fields in front, their number shifted by 5; -1 when one is wrong. */
function pseudoFields(list: HeaderList): number {
  let bits = 0;
  let count = 0;
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i] as string;
    if (name.charCodeAt(0) !== 0x3a) break;
    const bit = pseudoBits.get(name);
    if (bit === undefined || (bits & bit) !== 0 || BAD_VALUE.test(list[i + 1] as string)) return -1;
    bits |= bit;
    count++;
  }
  return bits | (count << 5);
}

function regularFields(block: HeaderBlock, pseudoCount: number): boolean {
  const { list } = block;
  for (let i = 2 * pseudoCount; i < list.length; i += 2) {
    const name = list[i] as string;
    const value = list[i + 1] as string;
    if (!FIELD_NAME.test(name) || BAD_VALUE.test(value) || CONNECTION_SPECIFIC.has(name)) return false;
    if (name === 'te' && value !== 'trailers') return false;
    if (name === 'content-length' && !noteLength(block, value)) return false;
  }
  return true;
}

function noteLength(block: HeaderBlock, value: string): boolean {
  const length = /^[0-9]{1,15}$/.test(value) ? Number(value) : -1;
  if (length < 0 || (block.contentLength >= 0 && block.contentLength !== length)) return false;
  block.contentLength = length;
  return true;
}

function pseudoAllowed(block: HeaderBlock, bits: number, count: number, kind: number): boolean {
  if (kind === BlockKind.TRAILERS) return bits === 0;
  if (kind === BlockKind.RESPONSE) return bits === STATUS && noteStatus(block);
  const { list } = block;
  let method = '';
  let path = '/';
  for (let i = 0; i < 2 * count; i += 2) {
    if (list[i] === ':method') method = list[i + 1] as string;
    else if (list[i] === ':path') path = list[i + 1] as string;
  }
  // RFC 9113 section 8.5: CONNECT names an authority and nothing else.
  if (method === 'CONNECT') return bits === (METHOD | AUTHORITY);
  if ((bits & ~AUTHORITY) !== (METHOD | SCHEME | PATH) || method === '') return false;
  block.oddPath = path.charCodeAt(0) !== 0x2f && !(path === '*' && method === 'OPTIONS');
  return true;
}

function noteStatus(block: HeaderBlock): boolean {
  const value = block.list[1] as string;
  if (!/^[1-9][0-9][0-9]$/.test(value)) return false;
  block.status = Number(value);
  return true;
}
