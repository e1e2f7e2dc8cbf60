/** `RangeResponse` and its keys: the numbers by which one is read, and the fields of which one is put together. */
import { varintText } from './field-text.ts';

/** Tags of the fields of `mvccpb.KeyValue`. */
export const KeyValueTag = {
  key: 0x0a,
  createRevision: 0x10,
  modRevision: 0x18,
  version: 0x20,
  value: 0x2a,
  lease: 0x30,
} as const;

/** `RangeResponse.kvs`, and `Event.kv` as well: what is put in an event is a field of a reply as it stands. */
export const KVS_TAG = 0x12;

/** `RangeResponse.more`. */
export const MORE_TAG = 0x18;

/** `more`, set, as text. */
export const MORE_TEXT: string = varintText(MORE_TAG, 1);

const COUNT_TAG = 0x20;

/** `count` as text. */
export function countText(count: number): string {
  return varintText(COUNT_TAG, count);
}
