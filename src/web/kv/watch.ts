/** `GET /watch/KEY`: changes as they happen, as Server-Sent Events. */
import type { FastifyReply } from 'fastify';
import { KV, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { Changes } from './changes.ts';
import { seenText, snapshotText } from './events.ts';
import { oneKey, prefixKeys } from './keys.ts';
import { badRequest, MAX_INT64, positive, Query } from './query.ts';
import { type KeyRequest, type Long, readText } from './request.ts';
import { sendPieces } from './response.ts';

const PARAMETERS = ['prefix', 'snapshot', 'revision', 'lastEventId'];

/** Answers with the changes until the client goes or there are no more. @throws RpcError (rejects) when there are none to tell */
export async function watch(request: KeyRequest): Promise<FastifyReply> {
  const { reply, target } = request;
  const query = new Query(target.query, PARAMETERS);
  const keys = query.flag('prefix') ? prefixKeys(target) : oneKey(target);
  const snapshot = query.flag('snapshot');
  const revision = query.number('revision') ?? 0n;
  const seen = lastSeen(request, query);
  if (!snapshot || seen !== undefined) {
    const changes = await Changes.begin(request, {
      ...keys,
      start: seen === undefined ? revision : seen + 1n,
      snapshot,
    });
    return tell(reply, changes, [seenText(changes.seen)]);
  }
  const kvs = RangeResponseSchema.field.kvs;
  const long = await request.askLong(KV.method.range, { ...keys, revision }, kvs);
  const at = revision > 0n ? revision : (long.rest.header?.revision ?? 0n);
  // Before a word of it is sent: its reader may take so long that what follows would be compacted.
  const changes = await Changes.begin(request, { ...keys, start: at + 1n, snapshot });
  return tell(reply, changes, snapshotOf(long, at));
}

/** Lets go of its room when it is told: the client stays for what follows. */
function* snapshotOf({ call, elements }: Long<typeof RangeResponseSchema>, at: bigint): Generator<string> {
  yield* readText(call, RangeResponseSchema, snapshotText(elements, at));
  call.close();
}

function tell(reply: FastifyReply, changes: Changes, first: Iterable<string>): FastifyReply {
  // Nothing on the way may keep it, or wait for more of it.
  reply.header('cache-control', 'no-store').header('x-accel-buffering', 'no');
  return sendPieces(reply, 'text/event-stream', changes.told({ text: first }));
}

/** The id of the last event that a client has which comes back. @throws RpcError when it is none of ours */
function lastSeen({ raw }: KeyRequest, query: Query): bigint | undefined {
  const field = raw.headers['last-event-id'];
  const text = field === undefined || field === '' ? query.text('lastEventId') : String(field);
  if (text === undefined || text === '') return undefined;
  const seen = text === '0' ? 0n : positive(text);
  // Nothing comes after the last revision that there can be.
  if (seen === undefined || seen === MAX_INT64)
    throw badRequest('Last-Event-ID is the id of an event that was sent');
  return seen;
}
