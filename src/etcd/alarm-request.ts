/** `AlarmRequest`: what is done with alarms. */
import { StrictFields } from './strict-fields.ts';

/** `action`, of which zero is to look. */
const ACTION_TAG = 0x08;

/** Whether a request only looks at alarms. @throws RpcError for bytes that are no message */
export function onlyLooksAtAlarms(request: Uint8Array): boolean {
  let action = 0n;
  for (const fields = new StrictFields(request); fields.next(); )
    if (fields.tag === ACTION_TAG) action = fields.int64();
  return action === 0n;
}
