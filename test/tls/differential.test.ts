/**
 * The differential suite with TLS on both sides of the proxy: the newest etcd, gRPC and one web protocol over each
 * version of HTTP.
 */
import { authCases, authEndCases } from '../differential/cases/auth.ts';
import { authUseCases } from '../differential/cases/auth-use.ts';
import { clusterCases } from '../differential/cases/cluster.ts';
import { leaseCases } from '../differential/cases/lease.ts';
import { lockCases } from '../differential/cases/lock-election.ts';
import { oddCases } from '../differential/cases/odd.ts';
import { rangeCases } from '../differential/cases/range.ts';
import { txnCases } from '../differential/cases/txn.ts';
import { compactCases, writeCases } from '../differential/cases/write.ts';
import { plainSettings } from '../differential/settings.ts';
import { direct, grpc, type SideKind, web } from '../differential/side.ts';
import { compareSides } from '../differential/suite.ts';
import { newestEtcd } from '../support/etcd.ts';
import { LONG } from '../support/releases.ts';
import { usual } from './support.ts';
import { startTunnelled } from './tunnels.ts';

const cases = [
  ...rangeCases,
  ...writeCases,
  ...txnCases,
  ...leaseCases,
  ...compactCases,
  ...oddCases,
  ...clusterCases,
  ...lockCases,
  ...authCases,
  ...authUseCases,
  ...authEndCases,
];

const startProxy = startTunnelled(await usual());
const overTls = [
  grpc,
  web('connect-json', LONG ? '2' : '1.1'),
  ...(LONG ? [web('grpc-web', '1.1')] : []),
].map((kind): SideKind => ({ ...kind, startProxy }));
compareSides('differential over TLS', await newestEtcd(), [direct, ...overTls], plainSettings, cases);
