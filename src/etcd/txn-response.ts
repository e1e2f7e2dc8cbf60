/** The fields of which a `TxnResponse` is put together, as text. */
import { varintText } from './field-text.ts';

/** Tags of the fields of `TxnResponse`, and of `ResponseOp`. */
const Tag = { succeeded: 0x10, responses: 0x1a, responseRange: 0x0a } as const;

/** `succeeded`, set. */
export const SUCCEEDED_TEXT: string = varintText(Tag.succeeded, 1);

/** What stands before a `RangeResponse` of so many octets: a `ResponseOp` with nothing else, as one of the `responses`. */
export function rangeOperationHead(size: number): string {
  const inner = varintText(Tag.responseRange, size);
  return varintText(Tag.responses, inner.length + size) + inner;
}
