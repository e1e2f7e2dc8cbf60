/** What is counted of the isolation of a namespace. */
import { TOO_MANY_STRICT_FIELDS } from '../etcd/strict-fields.ts';

/** What the isolation of a namespace has kept from clients: plain numbers, which metrics read. */
export class IsolationStats {
  /** Calls that concern the whole cluster. */
  refusedMethods = 0;
  /** Grants of leases with an id that the client chose. */
  refusedIds = 0;
  /** Requests with more fields than are looked at for leases, or for what is done with alarms. */
  refusedFields = 0;
  /** Requests that named a lease of elsewhere. */
  hidden = 0;

  /** Counts a request that was refused because of its fields. @returns the error, which is thrown on */
  refused(error: unknown): unknown {
    if (error === TOO_MANY_STRICT_FIELDS) this.refusedFields++;
    return error;
  }
}
