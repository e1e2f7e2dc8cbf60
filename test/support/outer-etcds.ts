/**
 * The releases of etcd that a suite takes which is long: the oldest and the newest at hand, where they differ most. With
 * `LONG=1`, as `npm run test:long` sets it, all of them.
 */
import { availableEtcds, type EtcdInstall } from './etcd.ts';

/** Those releases, oldest first. */
export async function outerEtcds(): Promise<EtcdInstall[]> {
  const all = await availableEtcds();
  return process.env.LONG === '1' ? all : all.filter((_, at) => at === 0 || at === all.length - 1);
}
