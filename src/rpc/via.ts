/**
 * Which proxies a call has come through, so that an endpoint that leads back to the proxy itself is noticed, be it behind
 * a balancer or by way of other proxies. Each proxy adds itself to what it sends, as RFC 9110 section 7.6.3 has it for
 * `Via`, and serves nothing that has come through it before: no call goes round in circles.
 */
import { randomBytes } from 'node:crypto';
import type { HeaderFields } from './metadata.ts';
import { Code, RpcError, type Status } from './status.ts';

/** The metadata in which each proxy on the way has a field of its own. */
export const VIA = 'x-etcd-proxy-instance';

/** What this process is called there. */
export const INSTANCE: string = randomBytes(9).toString('base64url');

/** Proxies that a call may have come through. */
const MAX_HOPS = 8;

const LEADS_BACK = `an endpoint leads back to a proxy that the call has come through, or there are more than ${MAX_HOPS} of them`;

/** What a call is refused with that has come through this proxy before. */
export function leadsBack(): RpcError {
  return new RpcError(Code.UNAVAILABLE, LEADS_BACK);
}

/** Whether this is the answer to a call that was sent in a circle. */
export function saysLeadsBack({ code, message }: Pick<Status, 'code' | 'message'>): boolean {
  return code === Code.UNAVAILABLE && message === LEADS_BACK;
}

/** Whether a request with these fields has come through this proxy before, or through too many. */
export function wasHere(fields: HeaderFields): boolean {
  let hops = 0;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== VIA) continue;
    if (fields[i + 1] === INSTANCE || ++hops > MAX_HOPS) return true;
  }
  return false;
}
