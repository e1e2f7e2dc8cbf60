/** What the isolation of a namespace has kept from clients: plain numbers, which metrics read. */
export class IsolationStats {
  /** Calls that concern the whole cluster. */
  refusedMethods = 0;
  /** Grants of leases with an id that the client chose. */
  refusedIds = 0;
  /** Requests that named a lease of elsewhere. */
  hidden = 0;
}
