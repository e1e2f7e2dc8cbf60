/** The differential suite: every case direct and through the proxy, on every etcd at hand. */
import { authCases, authEndCases } from './differential/cases/auth.ts';
import { authUseCases } from './differential/cases/auth-use.ts';
import { browserCases } from './differential/cases/browser.ts';
import { clusterCases } from './differential/cases/cluster.ts';
import { leaseCases } from './differential/cases/lease.ts';
import { lockCases } from './differential/cases/lock-election.ts';
import { oddCases } from './differential/cases/odd.ts';
import { rangeCases } from './differential/cases/range.ts';
import { txnCases } from './differential/cases/txn.ts';
import { watchCases } from './differential/cases/watch.ts';
import { watchStreamCases } from './differential/cases/watch-stream.ts';
import { compactCases, writeCases } from './differential/cases/write.ts';
import { direct, grpc, type LaneKind, web } from './differential/lane.ts';
import { etcdsToCompare, plainSettings } from './differential/settings.ts';
import { compareLanes } from './differential/suite.ts';

/** In this order on each etcd: what looks at the past comes before compactions, auth is last. */
const cases = [
  ...rangeCases,
  ...writeCases,
  ...txnCases,
  ...leaseCases,
  ...compactCases,
  ...watchCases,
  ...watchStreamCases,
  ...browserCases,
  ...oddCases,
  ...clusterCases,
  ...lockCases,
  ...authCases,
  ...authUseCases,
  ...authEndCases,
];

const lanes: readonly LaneKind[] = [
  direct,
  grpc,
  web('grpc-web', '1.1'),
  web('grpc-web', '2'),
  web('connect-json', '1.1'),
  web('connect-json', '2'),
  web('connect-proto', '1.1'),
  web('connect-proto', '2'),
];

for (const install of await etcdsToCompare())
  compareLanes('differential', install, lanes, plainSettings, cases);
