/** The lease of `LockRequest` and `CampaignRequest`: field 2 in both. */
import { LeaseTag } from './lease-tags.ts';

const NAME_TAG = 0x0a;

/**
 * Whether a request names a lease. Then its key in etcd is made of the name and that lease, so that asking again, be it on
 * another member, is the same call. Without one etcd grants a lease for each call.
 */
export function namesLease(request: Uint8Array): boolean {
  let at = 0;
  if (request[at] === NAME_TAG) {
    let length = 0;
    let scale = 1;
    for (let byte = 0x80; byte >= 0x80; scale *= 0x80) {
      byte = request[++at] ?? 0;
      length += (byte & 0x7f) * scale;
    }
    at += 1 + length;
  }
  return request[at] === LeaseTag.session && request[at + 1] !== 0;
}
