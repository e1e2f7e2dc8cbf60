/**
 * Answers to serializable reads are remembered once for all who may read the range, and given only to whom etcd has allowed
 * it within the last second; the range costs etcd one watch.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { RangeRequestSchema, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { metric } from '../support/metrics.ts';
import type { CallOptions } from '../support/raw-grpc.ts';
import { outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { b, put } from '../support/watch-client.ts';
import { signIn } from '../watch/tokens.ts';
import { type Place, startPlace, watchesOn } from './place.ts';

const HITS = 'etcd_proxy_cache_hits_total';

/** Reads `w/`: the values, or etcd's refusal. */
async function read({ client }: Place, who: CallOptions, end = 'w0'): Promise<string> {
  const request = create(RangeRequestSchema, { key: b('w/'), rangeEnd: b(end), serializable: true });
  const { messages, message } = await client.call(
    '/etcdserverpb.KV/Range',
    [toBinary(RangeRequestSchema, request)],
    who,
  );
  if (messages[0] === undefined) return message;
  return fromBinary(RangeResponseSchema, messages[0])
    .kvs.map(({ value }) => Buffer.from(value).toString())
    .join();
}

/** Reads until one of them is answered from memory. */
async function untilHit(at: Place, who: CallOptions): Promise<string> {
  return until('an answer from memory', async () => {
    const before = await metric(at.proxy.url, HITS);
    const answer = await read(at, who);
    return (await metric(at.proxy.url, HITS)) > before && answer;
  });
}

for (const install of await outerEtcds())
  for (const own of [true, false])
    test(`etcd ${install.version}, ${own ? 'with' : 'without'} a user of its own`, async () => {
      await using at = await startPlace({ install, users: ['a', 'b'], own });
      await at.root('user', 'add', 'nothing:pw');
      await put(at.direct, 'w/a', '1', await signIn(at.direct, 'root'));
      const users = ['a', 'a', 'b'];
      const clients = await Promise.all(users.map((user) => at.as(user)));
      const stranger = await at.as('nothing');
      for (const who of clients) assert.equal(await untilHit(at, who), '1');
      assert.equal(await watchesOn(at), own ? 1 : 2);
      assert.equal(await metric(at.proxy.url, 'etcd_proxy_cache_entries'), own ? 1 : 2);
      for (let i = 0; i < 3; i++)
        assert.match(
          await read(at, stranger),
          /permission denied/,
          'what others have read is not for everybody',
        );
      assert.match(await read(at, {}), /user name is empty/);
      // Another range is another permission, whatever is remembered of this one.
      assert.match(await read(at, clients[0] as CallOptions, '\0'), /permission denied/);

      await put(at.client, 'w/a', '2', clients[2]);
      for (const who of clients) {
        assert.equal(await read(at, who), '2');
        assert.equal(await untilHit(at, who), '2');
      }
      await at.root('user', 'revoke-role', 'a', 'a');
      for (const who of clients.slice(0, 2))
        await until('the permission has ended', async () =>
          (await read(at, who)).includes('permission denied'),
        );
      assert.equal(await untilHit(at, clients[2] as CallOptions), '2');
      assert.match(await read(at, clients[0] as CallOptions), /permission denied/);
    });

test('a range that the proxy’s own user may not read is remembered for each user', async () => {
  const install = (await outerEtcds()).at(-1);
  assert.ok(install);
  await using at = await startPlace({ install, users: ['a'], own: true, ownRange: ['x/', 'x0'] });
  await put(at.direct, 'w/a', '1', await signIn(at.direct, 'root'));
  const own = await at.as('own');
  assert.match(await read(at, own), /permission denied/);
  for (const who of [await at.as('a'), await at.as('a')]) assert.equal(await untilHit(at, who), '1');
  assert.equal(await watchesOn(at), 1);
  assert.match(await read(at, own), /permission denied/);
});
