/** `PUT /kv/KEY` and `DELETE /kv/KEY`. */
import type { FastifyReply } from 'fastify';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { changeIf, type Outcome } from './change.ts';
import { Conditions, tagOf } from './conditions.ts';
import { oneKey, prefixKeys } from './keys.ts';
import { leaseWish, withGrantedLease } from './lease.ts';
import { badRequest, Query } from './query.ts';
import type { KeyRequest } from './request.ts';
import { sendEncoded, sendJson, sendMismatch, sendNoKey, tellRevision } from './response.ts';

/** Puts the body. @throws RpcError (rejects) */
export async function put(request: KeyRequest): Promise<FastifyReply> {
  const { raw, reply, target } = request;
  const query = new Query(target.query, ['lease', 'ttl']);
  const wish = leaseWish(query);
  const { key } = oneKey(target);
  const conditions = new Conditions(raw.headers);
  // Values have no place for either, so that nobody would know how to read them.
  if (raw.headers['content-range'] !== undefined) throw badRequest('a part of a value cannot be put');
  if ((raw.headers['content-encoding'] ?? 'identity') !== 'identity') return sendEncoded(reply);
  const value = await request.body();
  const outcome = await withGrantedLease(request, wish, async (lease): Promise<Outcome> => {
    const put = { key, value, lease };
    if (!conditions.none)
      return await changeIf(request, conditions, { request: { case: 'requestPut', value: put } });
    const { header } = await request.ask(KV.method.put, put);
    return { done: true, revision: header?.revision ?? 0n, response: undefined };
  });
  if (!outcome.done) return mismatch(reply, outcome.revision);
  tellRevision(reply, outcome.revision);
  return reply
    .header('etag', tagOf(outcome.revision))
    .code(conditions.absent ? 201 : 204)
    .send();
}

/** Deletes a key, or all of a prefix. @throws RpcError (rejects) */
export async function remove(request: KeyRequest): Promise<FastifyReply> {
  const { raw, target } = request;
  const query = new Query(target.query, ['prefix']);
  const conditions = new Conditions(raw.headers);
  return query.flag('prefix') ? await removeAll(request, conditions) : await removeOne(request, conditions);
}

async function removeAll(request: KeyRequest, conditions: Conditions): Promise<FastifyReply> {
  const { reply, target } = request;
  if (!conditions.none) throw badRequest('If-Match and If-None-Match are about one key');
  // It is a variable without a value in somebody's script rather than what they want.
  if (target.key.length === 0) throw badRequest('no prefix is given: all keys can only be deleted by /v3');
  const { deleted, header } = await request.ask(KV.method.deleteRange, { ...prefixKeys(target) });
  return sendDeleted(reply, deleted, header?.revision);
}

async function removeOne(request: KeyRequest, conditions: Conditions): Promise<FastifyReply> {
  const { reply, target } = request;
  const { key } = oneKey(target);
  if (conditions.none) {
    const { deleted, header } = await request.ask(KV.method.deleteRange, { key });
    return deletedOne(reply, deleted, header?.revision);
  }
  const value = { key };
  const outcome = await changeIf(request, conditions, { request: { case: 'requestDeleteRange', value } });
  if (!outcome.done) return mismatch(reply, outcome.revision);
  const { response } = outcome.response ?? {};
  const deleted = response?.case === 'responseDeleteRange' ? response.value.deleted : 0n;
  return deletedOne(reply, deleted, outcome.revision);
}

function deletedOne(reply: FastifyReply, deleted: bigint, revision: bigint | undefined): FastifyReply {
  if (deleted > 0n) return sendDeleted(reply, deleted, revision);
  tellRevision(reply, revision);
  return sendNoKey(reply);
}

function sendDeleted(reply: FastifyReply, deleted: bigint, revision: bigint | undefined): FastifyReply {
  tellRevision(reply, revision);
  return sendJson(reply, { deleted: String(deleted) });
}

function mismatch(reply: FastifyReply, revision: bigint): FastifyReply {
  return sendMismatch(reply, revision === 0n ? undefined : tagOf(revision));
}
