/**
 * The differential suite within a namespace: what a client hears through a proxy with `--namespace` is what it hears from
 * a bare etcd that it asks the same.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Case } from '../differential/case.ts';
import { browserCases } from '../differential/cases/browser.ts';
import { framingStreamCases } from '../differential/cases/framing.ts';
import { casesInOrder } from '../differential/cases/in-order.ts';
import { keepAliveCases } from '../differential/cases/lease.ts';
import { lockCases } from '../differential/cases/lock-election.ts';
import { malformedCases } from '../differential/cases/odd.ts';
import { txnCases } from '../differential/cases/txn.ts';
import { watchCases } from '../differential/cases/watch.ts';
import { watchStreamCases } from '../differential/cases/watch-stream.ts';
import { plainSettings } from '../differential/settings.ts';
import { direct, grpc, web, within } from '../differential/side.ts';
import { compareSides } from '../differential/suite.ts';
import { atLeast } from '../support/etcd.ts';
import { LONG, newestEtcds } from '../support/releases.ts';

/** What etcd says of the size of a message counts the prefix, too, which the client did not send. */
const SIZES: readonly string[] = [
  'put: too large for etcd to take in',
  'put: a message of 786432 bytes',
  'put: a message of 786433 bytes',
  'put: a message of 1572864 bytes',
  'put: a message of 1572865 bytes',
  'put: a message of 5000000 bytes',
  'framing: a message of 1000000 bytes on a stream, too large for etcd',
  'framing: a message of 1600000 bytes on a stream, too large for etcd',
];

const onStreams: readonly Case[] = [
  ...watchCases,
  ...watchStreamCases,
  ...keepAliveCases,
  ...malformedCases,
  ...framingStreamCases,
];

/** To names that are malformed etcd 3.4 says the code 8; a namespace refuses them as later releases do. */
const UNKNOWN = 'unknown: methods and services';

const withoutSizes = (cases: readonly Case[]): Case[] => cases.filter(({ name }) => !SIZES.includes(name));

for (const install of await newestEtcds()) {
  const doors = LONG ? [grpc, web('grpc-web', '1.1'), web('connect-json', '2')] : [grpc];
  const sides = [direct, ...doors.map(within)];
  compareSides('within a namespace', install, sides, plainSettings, withoutSizes(casesInOrder));
  const streams = withoutSizes(onStreams).filter(({ name }) => name !== UNKNOWN || atLeast(install, 3, 5));
  // By gRPC and by JSON everything is asked the same way below the doors; a few cases show that all doors are within.
  compareSides(
    'doors within a namespace',
    install,
    [direct, within(web('connect-json', '1.1'))],
    plainSettings,
    [...txnCases, ...browserCases, ...lockCases],
  );
  compareSides('streams within a namespace', install, [direct, within(grpc)], plainSettings, streams);
}

test('no case is left out that is not there', () => {
  const names = new Set([...casesInOrder, ...onStreams].map(({ name }) => name));
  assert.deepEqual(
    [...SIZES, UNKNOWN].filter((name) => !names.has(name)),
    [],
  );
});
