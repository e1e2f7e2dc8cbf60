/** What changes a key: in one transaction with its conditions, where it has any. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { KV, type RequestOpSchema, type ResponseOp } from '#gen/etcdserverpb/kv_pb.js';
import type { Conditions } from './conditions.ts';
import { oneKey } from './keys.ts';
import type { KeyRequest } from './request.ts';

/** A put or a delete, as a part of a transaction. */
export type Operation = MessageInitShape<typeof RequestOpSchema>;

/** What came of it: it is done, or the key is at another revision than it has to be; 0: the key is not there. */
export type Outcome =
  | { readonly done: true; readonly revision: bigint; readonly response: ResponseOp | undefined }
  | { readonly done: false; readonly revision: bigint };

/** Does it if the conditions hold. @throws RpcError (rejects) */
export async function changeIf(
  request: KeyRequest,
  conditions: Conditions,
  operation: Operation,
): Promise<Outcome> {
  const { revisions } = conditions;
  if (revisions === undefined) return await tryAt(request, conditions, operation, undefined);
  // etcd joins comparisons by "and": which of several revisions it is has to be known before, and may be another one then.
  let at = revisions.length === 1 ? (revisions[0] as bigint) : await revisionNow(request);
  for (const _ of revisions) {
    if (!revisions.includes(at)) break;
    const outcome = await tryAt(request, conditions, operation, at);
    if (outcome.done || outcome.revision === at) return outcome;
    at = outcome.revision;
  }
  return { done: false, revision: at };
}

async function revisionNow(request: KeyRequest): Promise<bigint> {
  const { key, rangeEnd } = oneKey(request.target);
  const { kvs } = await request.ask(KV.method.range, { key, rangeEnd, keysOnly: true });
  return kvs[0]?.modRevision ?? 0n;
}

async function tryAt(
  request: KeyRequest,
  conditions: Conditions,
  operation: Operation,
  revision: bigint | undefined,
): Promise<Outcome> {
  const { key } = oneKey(request.target);
  const { succeeded, responses, header } = await request.ask(KV.method.txn, {
    compare: conditions.comparisons(key, revision),
    success: [operation],
    failure: [{ request: { case: 'requestRange', value: { key, keysOnly: true } } }],
  });
  const [response] = responses;
  if (succeeded) return { done: true, revision: header?.revision ?? 0n, response };
  const found = response?.response.case === 'responseRange' ? response.response.value.kvs[0] : undefined;
  return { done: false, revision: found?.modRevision ?? 0n };
}
