/** Which revision a client of etcd's JSON is told with events: it may go on after it, and misses nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import { told } from '../../src/web/gateway/told-revision.ts';

type Response = MessageInitShape<typeof WatchResponseSchema>;

const at = (...revisions: bigint[]): NonNullable<Response['events']> =>
  revisions.map((modRevision) => ({ kv: { key: Buffer.from('k'), modRevision } }));

const header = { clusterId: 7n, revision: 90n };

const cases: readonly (readonly [string, Response, bigint])[] = [
  ['the last of its events', { header, events: at(5n, 6n) }, 6n],
  [
    'the one before, where more of the last one may follow',
    { header, fragment: true, events: at(5n, 6n) },
    5n,
  ],
  ['the same in one of the first fragments', { header, fragment: true, events: at(6n) }, 5n],
  ['the last of its events in the last fragment', { header, fragment: false, events: at(6n) }, 6n],
  ['etcd’s, where that is before', { header: { revision: 3n }, fragment: true, events: at(6n) }, 3n],
  ['etcd’s, without events', { header, created: true }, 90n],
];
for (const [name, response, revision] of cases)
  test(name, () => {
    const message = toBinary(WatchResponseSchema, create(WatchResponseSchema, { watchId: 4n, ...response }));
    const seen = fromBinary(WatchResponseSchema, told(WatchResponseSchema, message));
    assert.equal(seen.header?.revision, revision);
    const rest = fromBinary(WatchResponseSchema, message);
    if (rest.header) rest.header.revision = revision;
    assert.deepEqual(
      toBinary(WatchResponseSchema, seen),
      toBinary(WatchResponseSchema, rest),
      'all else stays',
    );
  });
