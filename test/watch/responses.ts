import { create, toBinary } from '@bufbuild/protobuf';
import { WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import type { Header } from '../../src/etcd/header.ts';
import { type EventRecord, readResponse } from '../../src/etcd/watch-response.ts';
import { b } from '../support/watch-client.ts';

/** A response with events of these revisions, each with a value and one in two with `prev_kv`. */
export function response(revisions: readonly number[], size = 10): Uint8Array {
  const events = revisions.map((revision, i) => ({
    kv: { key: b(`k${i}`), modRevision: BigInt(revision), value: new Uint8Array(size) },
    ...(i % 2 === 0 ? {} : { prevKv: { key: b(`k${i}`), value: new Uint8Array(200) } }),
  }));
  const header = { clusterId: 1n, memberId: 2n ** 63n + 1n, revision: 99n, raftTerm: 3n };
  return toBinary(WatchResponseSchema, create(WatchResponseSchema, { header, events }));
}

/** Header and events of an encoded response. */
export function read(bytes: Buffer): [Header, readonly EventRecord[]] {
  const { header, events } = readResponse(bytes);
  return [header, events];
}
