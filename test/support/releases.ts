/**
 * How much a suite does that is long: in `npm test` a part, with `LONG=1`, as `npm run test:long` sets it, all. Whoever
 * imports this is in `npm run test:long` too.
 */
import { availableEtcds, type EtcdInstall, newestEtcd } from './etcd.ts';

/** Whether there is time. */
export const LONG = process.env.LONG === '1';

/** The oldest release and the newest at hand, where they differ most, oldest first; all of them if there is time. */
export async function outerEtcds(): Promise<EtcdInstall[]> {
  const all = await availableEtcds();
  return LONG ? all : all.filter((_, at) => at === 0 || at === all.length - 1);
}

/** The newest release at hand; all of them if there is time. */
export async function newestEtcds(): Promise<EtcdInstall[]> {
  return LONG ? availableEtcds() : [await newestEtcd()];
}
