/**
 * The differential suite: calls of one message, direct and through the proxy in every protocol, on every etcd at
 * hand. Streams of messages are in differential-streams.test.ts.
 */
import { authCases, authEndCases } from './differential/cases/auth.ts';
import { authUseCases } from './differential/cases/auth-use.ts';
import { browserCases } from './differential/cases/browser.ts';
import { clusterCases } from './differential/cases/cluster.ts';
import { leaseCases } from './differential/cases/lease.ts';
import { lockCases } from './differential/cases/lock-election.ts';
import { oddCases } from './differential/cases/odd.ts';
import { rangeCases } from './differential/cases/range.ts';
import { txnCases } from './differential/cases/txn.ts';
import { compactCases, writeCases } from './differential/cases/write.ts';
import { direct, everyLane, grpc, type LaneKind, web } from './differential/lane.ts';
import { etcdsToCompare, plainSettings } from './differential/settings.ts';
import { compareLanes } from './differential/suite.ts';

/** In this order on each etcd: what looks at the past comes before compactions, auth is last. */
const cases = [
  ...rangeCases,
  ...writeCases,
  ...txnCases,
  ...leaseCases,
  ...compactCases,
  ...browserCases,
  ...oddCases,
  ...clusterCases,
  ...lockCases,
  ...authCases,
  ...authUseCases,
  ...authEndCases,
];

/** The newest etcd meets every protocol over every HTTP; the older ones take turns, so as to save time. */
const someLanes: readonly (readonly LaneKind[])[] = [
  [direct, grpc, web('grpc-web', '1.1'), web('connect-json', '2')],
  [direct, grpc, web('grpc-web', '2'), web('connect-json', '1.1')],
  [direct, grpc, web('connect-proto', '1.1'), web('connect-json', '2')],
];

const etcds = await etcdsToCompare();
for (const [index, install] of etcds.entries()) {
  const lanes = index === etcds.length - 1 ? everyLane : (someLanes[index % someLanes.length] ?? everyLane);
  compareLanes('differential', install, lanes, plainSettings, cases);
}
