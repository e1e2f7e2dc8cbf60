/** The fields of which a `TxnResponse` is put together, as text. */
import { varintText } from './field-text.ts';

/** `succeeded`, set. */
export const SUCCEEDED_TEXT: string = varintText(0x10, 1);

/** What stands before a `RangeResponse` of so many octets: a `ResponseOp` with nothing else, as one of the `responses`. */
export function rangeOperationHead(size: number): string {
  const inner = varintText(0x0a, size);
  return varintText(0x1a, inner.length + size) + inner;
}
