/** The differential suite: every case direct and through the proxy, on every etcd at hand. */

import { leaseCases } from './differential/cases/lease.ts';
import { rangeCases } from './differential/cases/range.ts';
import { txnCases } from './differential/cases/txn.ts';
import { compactCases, writeCases } from './differential/cases/write.ts';
import { direct, type LaneKind } from './differential/lane.ts';
import { plainSettings } from './differential/settings.ts';
import { compareLanes } from './differential/suite.ts';
import { availableEtcds } from './support/etcd.ts';

const cases = [...rangeCases, ...writeCases, ...txnCases, ...leaseCases, ...compactCases];
const lanes: readonly LaneKind[] = [direct, direct];
for (const install of await availableEtcds())
  compareLanes('differential', install, lanes, plainSettings, cases);
