/**
 * The differential suite for what only gRPC carries: streams of messages both ways, and bytes that are no message;
 * direct and through the proxy, on every etcd at hand.
 */
import { framingStreamCases } from './cases/framing.ts';
import { keepAliveCases } from './cases/lease.ts';
import { malformedCases } from './cases/odd.ts';
import { watchCases } from './cases/watch.ts';
import { watchStreamCases } from './cases/watch-stream.ts';
import { etcdsToCompare, plainSettings } from './settings.ts';
import { direct, grpc } from './side.ts';
import { compareSides } from './suite.ts';

const cases = [
  ...watchCases,
  ...watchStreamCases,
  ...keepAliveCases,
  ...malformedCases,
  ...framingStreamCases,
];

for (const install of await etcdsToCompare())
  compareSides('differential streams', install, [direct, grpc], plainSettings, cases);
