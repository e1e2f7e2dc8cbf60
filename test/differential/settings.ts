/** How the etcds of the differential suite are set up, the same on every lane. */
import type { EtcdOptions } from '../support/etcd.ts';

/** The largest request etcd takes; small, so that limits can be reached with little. */
export const requestBytes = 256 * 1024;

/** The settings of the etcds whose stores the cases fill. */
export const plainSettings: EtcdOptions = { maxRequestBytes: requestBytes, bcryptCost: 4 };
