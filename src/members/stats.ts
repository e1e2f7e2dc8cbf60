/** What is counted of the registration and of the proxies that are registered, as plain numbers. */

/** Why the proxy was registered no more. */
export type Loss =
  /** The lease is gone: it expired or was revoked, or etcd is another cluster. */
  | 'lease'
  /** Somebody deleted the key. */
  | 'key';

export class MembersStats {
  /** Whether the proxy is registered now, as far as it knows. */
  registered = false;
  /** How often it has registered. */
  registrations = 0;
  /** How often that failed. */
  failures = 0;
  readonly losses: Record<Loss, number> = { lease: 0, key: 0 };
  /** How often the registered proxies could not be read, or had to be read anew. */
  unreadable = 0;
  /** Values below the prefix that were no proxy's. */
  skipped = 0;
}
