/**
 * The static table of HPACK (RFC 7541 appendix A), flat: the field with index i has its name at
 * `2 * i` and its value at `2 * i + 1`. Index 0 is not used.
 */

/** Number of fields in the static table; the dynamic table starts at the index after it. */
export const STATIC_FIELDS = 61;

/** Names and values by index, see the file comment. */
export const staticTable: readonly string[] = [
  ...['', ''],
  ...[':authority', '', ':method', 'GET', ':method', 'POST', ':path', '/', ':path', '/index.html'],
  ...[':scheme', 'http', ':scheme', 'https', ':status', '200', ':status', '204', ':status', '206'],
  ...[':status', '304', ':status', '400', ':status', '404', ':status', '500', 'accept-charset', ''],
  ...['accept-encoding', 'gzip, deflate', 'accept-language', '', 'accept-ranges', '', 'accept', ''],
  ...['access-control-allow-origin', '', 'age', '', 'allow', '', 'authorization', '', 'cache-control', ''],
  ...['content-disposition', '', 'content-encoding', '', 'content-language', '', 'content-length', ''],
  ...['content-location', '', 'content-range', '', 'content-type', '', 'cookie', '', 'date', '', 'etag', ''],
  ...['expect', '', 'expires', '', 'from', '', 'host', '', 'if-match', '', 'if-modified-since', ''],
  ...['if-none-match', '', 'if-range', '', 'if-unmodified-since', '', 'last-modified', '', 'link', ''],
  ...['location', '', 'max-forwards', '', 'proxy-authenticate', '', 'proxy-authorization', '', 'range', ''],
  ...['referer', '', 'refresh', '', 'retry-after', '', 'server', '', 'set-cookie', ''],
  ...['strict-transport-security', '', 'transfer-encoding', '', 'user-agent', '', 'vary', '', 'via', ''],
  ...['www-authenticate', ''],
];

const byName = new Map<string, number>();
const byField = new Map<string, number>();
for (let index = STATIC_FIELDS; index > 0; index--) {
  const name = staticTable[2 * index] as string;
  byName.set(name, index);
  byField.set(`${name}\0${staticTable[2 * index + 1]}`, index);
}

/** The index of a field whose name and value are both in the static table, or 0. */
export function staticFieldIndex(name: string, value: string): number {
  return byField.get(`${name}\0${value}`) ?? 0;
}

/** The lowest index of a field with this name in the static table, or 0. */
export function staticNameIndex(name: string): number {
  return byName.get(name) ?? 0;
}
