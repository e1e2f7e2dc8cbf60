/** Whether a client wants JSON rather than the bytes as they are (RFC 9110 section 12.5.1). */

const JSON_TYPE = 'application/json';
const BYTES_TYPE = 'application/octet-stream';

/** The most types, and parameters of one, that are looked at: each takes a part of a microsecond, and a field may be of a MiB. */
const MAX_PARTS = 100;

/** Whether `Accept` names JSON, and nothing that the bytes are more. */
export function prefersJson(accept: string | undefined): boolean {
  if (accept === undefined) return false;
  let json = 0;
  let bytes = 0;
  for (const range of accept.toLowerCase().split(',', MAX_PARTS)) {
    const [type = '', ...parameters] = range.split(';', MAX_PARTS).map((part) => part.trim());
    const weight = weightOf(parameters);
    if (type === JSON_TYPE) json = Math.max(json, weight);
    if (type === BYTES_TYPE) bytes = Math.max(bytes, weight);
  }
  return json > 0 && json >= bytes;
}

function weightOf(parameters: readonly string[]): number {
  const weight = parameters.find((parameter) => parameter.startsWith('q='));
  return weight === undefined ? 1 : Number(weight.slice('q='.length)) || 0;
}
