/** `AlarmRequest`: what is done with alarms. */
import { numberIn } from './strict-fields.ts';

/** `action`, of which zero is to look. */
const ACTION_TAG = 0x08;

/** Whether a request only looks at alarms. @throws RpcError as {@link numberIn} does */
export function onlyLooksAtAlarms(request: Uint8Array): boolean {
  return numberIn(request, ACTION_TAG) === 0n;
}
