/**
 * After a case that went differently on some side, the sides' stores are at different revisions, and every case
 * after it would fail too. This brings all to the same revision again, past the proxy.
 */
import { fromBinary } from '@bufbuild/protobuf';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { at, type Rpc, rpc } from './rpc.ts';
import type { Side } from './side.ts';

const { put, deleteRange, range } = KV.method;
const key = at('realign');

async function ask(side: Side, call: Rpc): Promise<Uint8Array> {
  const { messages, code, message } = await side.behind.call(call.path, [call.request]);
  if (code !== 0 || messages[0] === undefined) throw new Error(`${call.path}: ${code} ${message}`);
  return messages[0];
}

async function revisionOf(side: Side): Promise<bigint> {
  return fromBinary(range.output, await ask(side, rpc(range, key))).header?.revision ?? 0n;
}

/** Brings the stores of all sides to the same revision; the key it needs for that is gone afterwards. */
export async function realign(sides: readonly Side[]): Promise<void> {
  const revisions = await Promise.all(sides.map(revisionOf));
  const [most = 0n] = revisions.toSorted((one, two) => (one > two ? -1 : 1));
  if (revisions.every((revision) => revision === most)) return;
  await Promise.all(
    sides.map(async (side, index) => {
      for (let left = most + 1n - (revisions[index] ?? 0n); left > 0n; left--) await ask(side, rpc(put, key));
      await ask(side, rpc(deleteRange, key));
    }),
  );
}
