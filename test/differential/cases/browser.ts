/** The calls made for browsers, each against the stream of etcd that it stands for. */

import type { MessageInitShape } from '@bufbuild/protobuf';
import { Browser } from '#gen/etcdconnect/v1/browser_pb.js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { Watch, type WatchCreateRequestSchema } from '#gen/etcdserverpb/watch_pb.js';
import { collect } from '../../support/raw-grpc.ts';
import { type Case, script } from '../case.ts';
import { at, b, message, pathOf, rpc, under, zero } from '../rpc.ts';
import { type Script, ScriptCall } from '../script.ts';
import { watchers } from './odd.ts';
import { wish } from './watch.ts';

const { put, range, deleteRange, compact } = KV.method;
const { watch } = Watch.method;
const { leaseGrant, leaseRevoke, leaseKeepAlive } = Lease.method;

type Create = MessageInitShape<typeof WatchCreateRequestSchema>;
type OneWatch = ScriptCall<typeof watch.output>;

/** One watch: by the browser's call, on the direct side by a stream. */
function oneWatch(script: Script, create: Create): OneWatch {
  if (script.side.kind.through === 'proxy') {
    const call = rpc(Browser.method.watch, create);
    return new ScriptCall(script, 'one watch', watch.output, script.side.open(call));
  }
  const stream = script.side.grpc.open(pathOf(watch));
  stream.send(message(watch, wish.create(create)));
  return new ScriptCall(script, 'one watch', watch.output, stream);
}

/** Notes the end of a browser's watch, which on the direct side is only the end of the watch. */
async function untilOver(script: Script, call: OneWatch): Promise<void> {
  if (script.side.kind.through === 'direct') return call.cancel();
  const { code, messages } = await call.rest();
  if (code !== 0 || messages.length > 0) throw new Error(`a watch that is over ended with ${code}`);
}

/** A watch that is over as soon as it is there, or right after. */
const over = (name: string, create: (now: bigint) => Create): Case =>
  script(`browser: ${name}`, async (script) => {
    const { header } = await script.ask(put, { ...at('browser/over'), value: b(name) });
    const call = oneWatch(script, create(header?.revision ?? 0n));
    await call.takeUntil(({ canceled }) => canceled);
    await untilOver(script, call);
  });

/** One heartbeat: by the browser's call, on the direct side by a stream. */
async function heartbeat(script: Script, ID: bigint): Promise<void> {
  const { input, output } = leaseKeepAlive;
  const direct = script.side.kind.through === 'direct';
  const outcome = direct
    ? await script.side.grpc.call(pathOf(leaseKeepAlive), [message(leaseKeepAlive, { ID })])
    : await collect(script.side.open(rpc(Browser.method.leaseKeepAliveOnce, { ID })));
  script.noteOutcome(`one heartbeat of ${input.typeName}`, output, outcome);
}

export const browserCases: readonly Case[] = [
  script('browser: a watch', async (script) => {
    const call = oneWatch(script, { ...under('browser/'), prevKv: true });
    await call.take();
    await script.runAll([
      rpc(put, { ...at('browser/a'), value: b('1') }),
      rpc(put, { ...at('browser/a'), value: b('2') }),
      rpc(deleteRange, at('browser/a')),
    ]);
    await call.take(3);
    call.cancel();
  }),
  script('browser: a watch on the past', async (script) => {
    const { header } = await script.ask(put, { ...at('browser/past'), value: b('1') });
    await script.run(rpc(put, { ...at('browser/past'), value: b('2') }));
    const call = oneWatch(script, {
      ...at('browser/past'),
      startRevision: header?.revision ?? 0n,
      watchId: 12n,
    });
    await call.take(2);
    await script.run(rpc(put, { ...at('browser/past'), value: b('3') }));
    await call.take();
    call.cancel();
  }),
  script('browser: a watch on everything', async (script) => {
    const call = oneWatch(script, { key: zero, rangeEnd: zero });
    await call.take();
    await script.run(rpc(put, { ...at('browser/all'), value: b('1') }));
    await call.take();
    call.cancel();
  }),
  script('browser: a watch that is hung up leaves nothing behind', async (script) => {
    await script.untilNumber('no watches left of earlier cases', 0, () => watchers(script));
    const call = oneWatch(script, at('browser/hung/up'));
    await call.take();
    await script.untilNumber('a watch', 1, () => watchers(script));
    call.cancel();
    await script.untilNumber('no watches', 0, () => watchers(script));
  }),
  over('a watch on an invalid range', () => ({ ...at('b'), rangeEnd: b('a') })),
  script('browser: a watch on what is compacted', async (script) => {
    await script.run(rpc(put, at('browser/compacted')));
    const { header } = await script.ask(range, at('browser/compacted'));
    const revision = header?.revision ?? 0n;
    await script.run(rpc(compact, { revision }));
    const call = oneWatch(script, { ...at('browser/compacted'), startRevision: revision - 1n });
    await call.take(2);
    await untilOver(script, call);
  }),
  // Until 3.5 etcd says nothing to it unless something was compacted.
  over('a watch on what never was', () => ({ ...at('b'), startRevision: -1n })),
  script('browser: heartbeats', async (script) => {
    await script.run(rpc(leaseGrant, { ID: 5_001n, TTL: 3600n }));
    for (const ID of [5_001n, 404n, 0n, 5_001n]) await heartbeat(script, ID);
    await script.run(rpc(leaseRevoke, { ID: 5_001n }));
    await heartbeat(script, 5_001n);
  }),
];
