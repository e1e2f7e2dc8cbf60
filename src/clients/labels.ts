/**
 * Metadata that only label a call: traces, request ids, the release of the client's library. etcd answers nothing
 * differently for them, so calls that differ in nothing else share: the shared call carries those of the first client.
 */

import { VIA } from '../rpc/via.ts';

/** Of W3C's trace context, OpenCensus and Zipkin; of requests; of etcd's clients, which etcd counts in a metric; of proxies. */
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
  VIA,
]);

/** Zipkin's older form: a field for each part. */
const LABEL_FAMILY = 'x-b3-';

/** More of one call might be more than something on the way to etcd takes: its client alone shall be refused then. */
const MAX_LABELS_BYTES = 2048;

/** With more proxies on its way, a call might be refused by the next one: its client alone shall be. */
const MAX_PROXIES = 4;

/** What every etcd takes; it refuses a version that is not UTF-8. */
const PLAIN = /^[\x20-\x7e]*$/;

/** Base64 with padding or without: gRPC refuses a call with other bytes in a field of this kind. */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;

/** Whether a field only labels the call. One whose value might have the call refused does not. */
export function isLabel(name: string, value: string): boolean {
  if (!LABELS.has(name) && !name.startsWith(LABEL_FAMILY)) return false;
  return (name.endsWith('-bin') ? BASE64 : PLAIN).test(value);
}

/** The fields that are no labels, in their order; all of them where the labels are too long or too many together. */
export function withoutLabels(fields: readonly string[]): readonly string[] {
  const kept: string[] = [];
  let bytes = 0;
  let proxies = 0;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    if (name === VIA) proxies++;
    if (isLabel(name, value)) bytes += name.length + value.length;
    else kept.push(name, value);
  }
  return bytes > MAX_LABELS_BYTES || proxies > MAX_PROXIES ? fields : kept;
}
