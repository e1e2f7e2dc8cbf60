/**
 * Metadata that only label a call: traces, request ids, the release of the client's library. etcd answers nothing
 * differently for them, so calls that differ in nothing else share: the shared call carries those of the first client.
 */

/** Of W3C's trace context, OpenCensus and Zipkin; of requests; of etcd's clients, which etcd counts in a metric. */
const LABELS: ReadonlySet<string> = new Set([
  'traceparent',
  'tracestate',
  'grpc-trace-bin',
  'b3',
  'request-id',
  'x-request-id',
  'correlation-id',
  'x-correlation-id',
  'client-api-version',
]);

/** Zipkin's older form: a field for each part. */
const LABEL_FAMILY = 'x-b3-';

/** A longer value might be more than something on the way to etcd takes: that one client alone shall be refused then. */
const MAX_LABEL_LENGTH = 1024;

/** What every etcd takes; it refuses a version that is not UTF-8. */
const PLAIN = /^[\x20-\x7e]*$/;

/** Base64 with padding or without: gRPC refuses a call with other bytes in a field of this kind. */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;

/** Whether a field only labels the call. One whose value might have the call refused does not. */
export function isLabel(name: string, value: string): boolean {
  if (!LABELS.has(name) && !name.startsWith(LABEL_FAMILY)) return false;
  if (value.length > MAX_LABEL_LENGTH) return false;
  return (name.endsWith('-bin') ? BASE64 : PLAIN).test(value);
}

/** The other fields, in their order. */
export function withoutLabels(fields: readonly string[]): readonly string[] {
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    if (!isLabel(name, value)) kept.push(name, value);
  }
  return kept;
}
