/**
 * The differential suite: calls of one message, direct and through the proxy in every protocol, on every etcd at
 * hand. Streams of messages are in differential-streams.test.ts.
 */
import { authCases, authEndCases } from './differential/cases/auth.ts';
import { authUseCases } from './differential/cases/auth-use.ts';
import { browserCases } from './differential/cases/browser.ts';
import { clusterCases } from './differential/cases/cluster.ts';
import { framingCases } from './differential/cases/framing.ts';
import { leaseCases } from './differential/cases/lease.ts';
import { lockCases } from './differential/cases/lock-election.ts';
import { oddCases } from './differential/cases/odd.ts';
import { rangeCases } from './differential/cases/range.ts';
import { txnCases } from './differential/cases/txn.ts';
import { compactCases, writeCases } from './differential/cases/write.ts';
import { lanesFor } from './differential/lane.ts';
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
  ...framingCases,
  ...clusterCases,
  ...lockCases,
  ...authCases,
  ...authUseCases,
  ...authEndCases,
];

const etcds = await etcdsToCompare();
for (const [index, install] of etcds.entries())
  compareLanes('differential', install, lanesFor(index, etcds.length), plainSettings, cases);
