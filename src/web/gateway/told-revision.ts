/**
 * Which revision a response with events says it is of. While a watch catches up, etcd writes the revision of its store there,
 * which is ahead of events that are still to come. Clients of the gateway go on after that revision when their connection
 * is lost, and would miss those events. The revision of the last event is one that etcd may write as well. Where the response is
 * a fragment, further events of that revision may be in the next one, so it is the revision before.
 */
import { type DescMessage, fromBinary, toBinary } from '@bufbuild/protobuf';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { ResponseHeaderSchema } from '#gen/etcdserverpb/header_pb.js';
import { WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import { EventSchema } from '#gen/mvccpb/kv_pb.js';

const HEADER = WatchResponseSchema.field.header.number;
const EVENTS = WatchResponseSchema.field.events.number;
const FRAGMENT = WatchResponseSchema.field.fragment.number;

/** Where a field is. */
interface Place {
  readonly start: number;
  readonly contents: number;
  readonly end: number;
}

/** What is looked at in a response. */
interface Places {
  readonly header: Place;
  /** The last one. */
  readonly event: Place;
  /** More of it follows. */
  readonly fragment: boolean;
}

/** A message as clients are told it: a response to a watch is never ahead of its events. */
export function told(schema: DescMessage, message: Uint8Array): Uint8Array {
  return schema.typeName === WatchResponseSchema.typeName ? notAhead(message) : message;
}

function notAhead(response: Uint8Array): Uint8Array {
  const places = placesOf(response);
  if (places === undefined) return response;
  const { header: at, event, fragment } = places;
  const header = fromBinary(ResponseHeaderSchema, response.subarray(at.contents, at.end));
  const { kv } = fromBinary(EventSchema, response.subarray(event.contents, event.end));
  if (kv === undefined) return response;
  const complete = fragment ? kv.modRevision - 1n : kv.modRevision;
  if (header.revision <= complete) return response;
  header.revision = complete;
  const field = new BinaryWriter()
    .tag(HEADER, WireType.LengthDelimited)
    .bytes(toBinary(ResponseHeaderSchema, header))
    .finish();
  return Buffer.concat([response.subarray(0, at.start), field, response.subarray(at.end)]);
}

/** Undefined where header or events are missing, or the bytes are no message, which is found out later. */
function placesOf(response: Uint8Array): Places | undefined {
  let header: Place | undefined;
  let event: Place | undefined;
  let fragment = false;
  const reader = new BinaryReader(response);
  try {
    while (reader.pos < reader.len) {
      const start = reader.pos;
      const [number, wireType] = reader.tag();
      if (number === FRAGMENT && wireType === WireType.Varint) {
        fragment = reader.bool();
        continue;
      }
      if (wireType !== WireType.LengthDelimited || (number !== HEADER && number !== EVENTS)) {
        reader.skip(wireType, number);
        continue;
      }
      const length = reader.uint32();
      const place = { start, contents: reader.pos, end: reader.pos + length };
      reader.pos = place.end;
      if (number === HEADER) header = place;
      else event = place;
    }
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
  return header === undefined || event === undefined ? undefined : { header, event, fragment };
}
