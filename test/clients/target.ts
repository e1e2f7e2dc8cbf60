/**
 * What the client suites talk to: the proxy in front of an etcd. With CLIENT_TESTS_DIRECT=1 it is the etcd itself,
 * which proves those tests that need nothing but etcd's own protocol.
 */
import type { EtcdCluster } from '../support/etcd.ts';
import { REAL_MEMBERS, startProxy } from '../support/proxy.ts';

/** Whether the suites leave the proxy out. */
export const direct: boolean = process.env.CLIENT_TESTS_DIRECT === '1';

/** Why a test of something that only the proxy has is skipped; false where it runs. */
export const needsProxy: string | false = direct && 'CLIENT_TESTS_DIRECT is set and etcd has nothing like it';

/** An address that clients use. */
export interface Target extends AsyncDisposable {
  /** As `host:port`. */
  readonly address: string;
  readonly url: string;
}

/** Starts the proxy in front of a cluster. */
export async function startTarget(etcd: EtcdCluster, flags: readonly string[] = []): Promise<Target> {
  if (direct) {
    const { address, url } = etcd.first;
    return { address, url, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  return startProxy({ endpoints: etcd.endpoints, flags: [REAL_MEMBERS, ...flags] });
}
