/**
 * How a record is looked at for a side. Over gRPC everything counts. The web protocols have headers of their own
 * and carry metadata in places of their own, so there only the application's metadata counts, wherever it stood;
 * and JSON has no place for unknown fields. The bytes of messages are those of the client, not of the wire.
 */

import { type Plain, withoutUnknown } from './plain.ts';
import type { SideKind } from './side.ts';
import { detailsOfGrpc } from './web-client.ts';

type PlainObject = { readonly [name: string]: Plain };

const protocolHeader =
  /^(content-|accept|connect-|grpc-|access-control-|trailer|vary$|date$|connection$|keep-alive$|transfer-encoding$)/;

function isObject(value: Plain): value is PlainObject {
  return typeof value === 'object' && !Array.isArray(value);
}

function application(metadata: Plain): PlainObject {
  if (!isObject(metadata)) return {};
  return Object.fromEntries(Object.entries(metadata).filter(([name]) => !protocolHeader.test(name)));
}

function webDetails(details: Plain): Plain {
  return typeof details === 'string' && !details.includes(' ') ? detailsOfGrpc(details) : details;
}

function webStep(result: Plain): Plain {
  if (!isObject(result) || !('trailers' in result)) return result;
  const { headers, trailers, details, bytes: _, ...rest } = result;
  const metadata = { ...application(headers), ...application(trailers) };
  return { ...rest, metadata, details: webDetails(details) };
}

function webRecord(record: Plain): Plain {
  if (!isObject(record)) return record;
  return Object.fromEntries(Object.entries(record).map(([step, result]) => [step, webStep(result)]));
}

/** The view of records that a side is compared in. */
export function viewFor(kind: SideKind): (record: Plain) => Plain {
  if (kind.web === undefined) return (record) => record;
  if (kind.web.protocol === 'connect-json') return (record) => withoutUnknown(webRecord(record));
  return webRecord;
}
