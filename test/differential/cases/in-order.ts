/** The cases of one call after the other. What looks at the past comes before compactions, auth is last. */

import type { Case } from '../case.ts';
import { authCases, authEndCases } from './auth.ts';
import { authUseCases } from './auth-use.ts';
import { browserCases } from './browser.ts';
import { clusterCases } from './cluster.ts';
import { framingCases } from './framing.ts';
import { leaseCases } from './lease.ts';
import { lockCases } from './lock-election.ts';
import { oddCases } from './odd.ts';
import { rangeCases } from './range.ts';
import { txnCases } from './txn.ts';
import { compactCases, writeCases } from './write.ts';

export const casesInOrder: readonly Case[] = [
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
