/**
 * The differential suite: calls of one message, direct and through the proxy in every protocol, on every etcd at
 * hand. Streams of messages are in streams.test.ts.
 */
import { authCases, authEndCases } from './cases/auth.ts';
import { authUseCases } from './cases/auth-use.ts';
import { browserCases } from './cases/browser.ts';
import { clusterCases } from './cases/cluster.ts';
import { framingCases } from './cases/framing.ts';
import { leaseCases } from './cases/lease.ts';
import { lockCases } from './cases/lock-election.ts';
import { oddCases } from './cases/odd.ts';
import { rangeCases } from './cases/range.ts';
import { txnCases } from './cases/txn.ts';
import { compactCases, writeCases } from './cases/write.ts';
import { etcdsToCompare, plainSettings } from './settings.ts';
import { sidesFor } from './side.ts';
import { compareSides } from './suite.ts';

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
  compareSides('differential', install, sidesFor(index, etcds.length), plainSettings, cases);
