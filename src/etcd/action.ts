/** Requests that say what is to be done in their first field, where zero is to look: `AlarmRequest`, `DowngradeRequest`. */
import { numberIn } from './strict-fields.ts';

const ACTION_TAG = 0x08;

/** Whether a request only looks. @throws RpcError as {@link numberIn} does */
export function onlyLooks(request: Uint8Array): boolean {
  return numberIn(request, ACTION_TAG) === 0n;
}
