/** How the etcds of the differential suite are set up, the same on every side. */
import { availableEtcds, type EtcdInstall, type EtcdOptions } from '../support/etcd.ts';
import { outerEtcds } from '../support/releases.ts';

/** The largest request etcd takes; small, so that limits can be reached with little. */
export const requestBytes = 256 * 1024;

/** The settings of the etcds whose stores the cases fill. */
export const plainSettings: EtcdOptions = { maxRequestBytes: requestBytes, bcryptCost: 4 };

/** The etcds to run against: the outer ones at hand, or those of the release lines in DIFFERENTIAL_ETCD, such as `3.5,3.7`. */
export async function etcdsToCompare(): Promise<EtcdInstall[]> {
  const wanted = process.env.DIFFERENTIAL_ETCD?.split(',');
  const found =
    wanted === undefined
      ? await outerEtcds()
      : (await availableEtcds()).filter(({ major, minor }) => wanted.includes(`${major}.${minor}`));
  if (found.length === 0) throw new Error('no etcd to compare with');
  return found;
}
