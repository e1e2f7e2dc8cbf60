/** `GET /kv/KEY`: a value as it is, a key as JSON, or the keys of a prefix. */
import { fromBinary, type MessageInitShape } from '@bufbuild/protobuf';
import type { FastifyReply } from 'fastify';
import { KV, type RangeRequestSchema, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { type KeyValue, KeyValueSchema } from '#gen/mvccpb/kv_pb.js';
import { inPieces } from '../json-pieces.ts';
import { prefersJson } from './accept.ts';
import { Conditions, tagOf } from './conditions.ts';
import { type Keys, keysAfter, oneKey, prefixKeys } from './keys.ts';
import { badRequest, Query } from './query.ts';
import { type KeyRequest, type Long, readText } from './request.ts';
import { sendMismatch, sendNoKey, sendPieces, tellRevision } from './response.ts';
import { encoded, pathOfKey } from './target.ts';
import { lineText, listText } from './text.ts';

const PARAMETERS = ['prefix', 'keys', 'revision', 'limit', 'after', 'serializable'];

/** What may be longer in a header field is left out: many clients take 8 to 16 KiB of header. Characters. */
const MAX_LINK = 6 << 10;

/** Answers a read. @throws RpcError (rejects) */
export async function read(request: KeyRequest): Promise<FastifyReply> {
  const query = new Query(request.target.query, PARAMETERS);
  return query.flag('prefix') ? await readPrefix(request, query) : await readKey(request, query);
}

async function readKey(request: KeyRequest, query: Query): Promise<FastifyReply> {
  const { raw, reply, target } = request;
  for (const name of ['limit', 'after']) if (query.has(name)) throw badRequest(`${name} goes with prefix`);
  const conditions = new Conditions(raw.headers);
  const { header, kvs } = await request.ask(KV.method.range, asked(oneKey(target), query));
  tellRevision(reply, header?.revision);
  const [kv] = kvs;
  const form = query.flag('keys') ? '+keys' : prefersJson(raw.headers.accept) ? '+json' : '';
  const tag = kv === undefined ? undefined : tagOf(kv.modRevision, form);
  const verdict = conditions.ofRead(tag);
  if (verdict === 'mismatch') return sendMismatch(reply, tag);
  if (kv === undefined || tag === undefined) return sendNoKey(reply);
  reply.header('etag', tag);
  if (verdict === 'unchanged') return reply.code(304).send();
  if (form === '') return sendValue(reply, kv);
  return sendPieces(
    reply,
    'application/json',
    inPieces(lineText(kv, form === '+keys' ? 'without value' : 'whole')),
  );
}

/** The value, with what else there is of the key in the head. */
function sendValue(reply: FastifyReply, kv: KeyValue): FastifyReply {
  const { value, createRevision, modRevision, version, lease } = kv;
  reply.header('x-etcd-create-revision', String(createRevision));
  reply.header('x-etcd-mod-revision', String(modRevision));
  reply.header('x-etcd-version', String(version));
  if (lease !== 0n) reply.header('x-etcd-lease', String(lease));
  return reply
    .type('application/octet-stream')
    .send(Buffer.from(value.buffer, value.byteOffset, value.length));
}

async function readPrefix(request: KeyRequest, query: Query): Promise<FastifyReply> {
  const { reply } = request;
  const all = prefixKeys(request.target);
  const after = query.bytes('after');
  const keys = after === undefined ? all : keysAfter(all, after);
  const long = await request.askLong(KV.method.range, asked(keys, query), RangeResponseSchema.field.kvs);
  const { header, more, count } = long.rest;
  tellRevision(reply, header?.revision);
  reply.header('x-etcd-count', String(count));
  if (more) tellMore(request, query, long);
  const form = query.flag('keys') ? 'without value' : 'whole';
  const text = readText(long.call, RangeResponseSchema, listText(long.elements, form));
  return sendPieces(reply, 'application/json', inPieces(text));
}

function asked(keys: Keys, query: Query): MessageInitShape<typeof RangeRequestSchema> {
  return {
    key: keys.key,
    rangeEnd: keys.rangeEnd,
    keysOnly: query.flag('keys'),
    limit: query.number('limit') ?? 0n,
    revision: query.number('revision') ?? 0n,
    serializable: query.flag('serializable'),
  };
}

/** Says that there are more keys, and where: at the same revision, behind the last one. */
function tellMore(
  { reply, target }: KeyRequest,
  query: Query,
  { rest, elements }: Long<typeof RangeResponseSchema>,
): void {
  reply.header('x-etcd-more', 'true');
  const last = elements.at(-1);
  if (last === undefined) return;
  const { key } = fromBinary(KeyValueSchema, last);
  if (key.length + target.key.length > MAX_LINK) return;
  const revision = query.number('revision') ?? rest.header?.revision;
  const parameters = ['prefix', `limit=${query.number('limit') ?? ''}`, `revision=${revision ?? ''}`];
  for (const name of ['keys', 'serializable']) if (query.flag(name)) parameters.push(name);
  parameters.push(`after=${encoded(key)}`);
  const link = `<${pathOfKey(target.key)}?${parameters.join('&')}>; rel="next"`;
  if (link.length <= MAX_LINK) reply.header('link', link);
}
