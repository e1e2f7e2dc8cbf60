/**
 * Clients that show a token by either of etcd's two names for it, or more than one: who they are is what etcd takes them for,
 * for every tier of memory, and none is taken for the user of a token that etcd does not look at.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { RangeRequestSchema, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import type { CallOptions, RawGrpcClient } from '../support/raw-grpc.ts';
import { newestEtcds } from '../support/releases.ts';
import { b, put, WatchCall } from '../support/watch-client.ts';
import { startPlace } from './place.ts';

type Shown = NonNullable<CallOptions['metadata']>;

const RANGE = { key: b('w/'), rangeEnd: b('w0') };
/** So often, so that what may be remembered is. */
const TIMES = 4;

for (const install of await newestEtcds())
  for (const own of [true, false])
    test(`etcd ${install.version}, ${own ? 'with' : 'without'} a user of the proxy’s own`, async () => {
      const flags = own ? ['--cache-prefix=w/'] : [];
      await using at = await startPlace({ install, users: ['a'], own, flags });
      await at.root('user', 'add', 'stranger:pw');
      const tokenOf = async (name: string) => ((await at.as(name)).metadata as { token: string }).token;
      const [good, none, bad] = [await tokenOf('a'), await tokenOf('stranger'), 'worthless.1'];
      await put(at.direct, 'w/a', 'secret', { metadata: { token: good } });
      for (const shown of formsOf(good, [none, bad, ''])) {
        const what = JSON.stringify(shown);
        for (const serializable of [false, true]) {
          const theirs = await read(at.direct, shown, serializable);
          for (let i = 0; i < TIMES; i++)
            assert.equal(await read(at.client, shown, serializable), theirs, what);
        }
        assert.equal(await watched(at.client, shown), await watched(at.direct, shown), what);
      }
    });

/** One token, two under different names in either order, and two under one. Others are no good, each in its way. */
function formsOf(good: string, others: readonly string[]): Shown[] {
  return [
    {},
    { token: good },
    { authorization: good },
    ...others.flatMap((other): Shown[] => [
      { token: other },
      { authorization: other },
      { token: good, authorization: other },
      { authorization: other, token: good },
      { token: other, authorization: good },
      { authorization: good, token: other },
      { token: [good, other] },
      { token: [other, good] },
    ]),
  ];
}

async function read(client: RawGrpcClient, metadata: Shown, serializable: boolean): Promise<string> {
  const request = toBinary(RangeRequestSchema, create(RangeRequestSchema, { ...RANGE, serializable }));
  const { code, message, messages } = await client.call('/etcdserverpb.KV/Range', [request], { metadata });
  if (messages[0] === undefined) return `${code} ${message}`;
  return fromBinary(RangeResponseSchema, messages[0])
    .kvs.map(({ value }) => Buffer.from(value).toString())
    .join();
}

async function watched(client: RawGrpcClient, metadata: Shown): Promise<string> {
  const watch = new WatchCall(client, { metadata });
  watch.create(RANGE);
  const { created, canceled, cancelReason } = await watch.must();
  watch.close();
  return `${created} ${canceled} ${cancelReason}`;
}
