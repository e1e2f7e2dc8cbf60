/** Ranges of keys, understood without any help of the proxy's. */

/** Keys as requests name them, as text; an empty end is the key alone, a zero byte no end. */
export interface KeySpan {
  readonly key: string;
  readonly end: string;
}

/** Whether a key is among them. */
export function spans({ key: first, end }: KeySpan, key: string): boolean {
  if (end === '') return key === first;
  return key >= first && (end === '\0' || key < end);
}
