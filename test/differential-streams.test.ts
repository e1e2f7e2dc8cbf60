/**
 * The differential suite for what only gRPC carries: streams of messages both ways, and bytes that are no message;
 * direct and through the proxy, on every etcd at hand.
 */
import { framingStreamCases } from './differential/cases/framing.ts';
import { keepAliveCases } from './differential/cases/lease.ts';
import { malformedCases } from './differential/cases/odd.ts';
import { watchCases } from './differential/cases/watch.ts';
import { watchStreamCases } from './differential/cases/watch-stream.ts';
import { direct, grpc } from './differential/lane.ts';
import { etcdsToCompare, plainSettings } from './differential/settings.ts';
import { compareLanes } from './differential/suite.ts';

const cases = [
  ...watchCases,
  ...watchStreamCases,
  ...keepAliveCases,
  ...malformedCases,
  ...framingStreamCases,
];

for (const install of await etcdsToCompare())
  compareLanes('differential streams', install, [direct, grpc], plainSettings, cases);
