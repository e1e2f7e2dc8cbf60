/** What is counted of namespaces. */

export class NamespaceStats {
  /** Replies that others may get as well: those that were translated, and those that had been already. */
  translated = 0;
  found = 0;
  /** Translated ones that had to go before their time, to make room for others. */
  forgotten = 0;
  /** Messages that took more than one turn. */
  inTurns = 0;
  /** Calls of methods that nobody knows. */
  unknown = 0;
}
