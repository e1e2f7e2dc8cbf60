/** Watches of clients, and what they should have been told by the history of etcd. */
import assert from 'node:assert/strict';
import { fromBinary } from '@bufbuild/protobuf';
import { type WatchResponse, WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import type { Event_EventType } from '#gen/mvccpb/kv_pb.js';
import type { RawCall } from '../support/raw-grpc.ts';
import { WatchCall } from '../support/watch-client.ts';
import type { Span } from './steps.ts';
import { isIn, latin1 } from './world.ts';

/** What a watch watches. */
interface Watched {
  readonly prefix: string;
  readonly span: Span;
}

/** An event, with its key as whoever hears of it has it. */
interface Told {
  readonly key: string;
  readonly type: Event_EventType;
  readonly revision: bigint;
}

/** How a watch began. */
export interface Seen {
  readonly canceled: boolean;
}

/** An open one. */
interface Open {
  readonly watch: WatchCall | RawCall;
  readonly watched: Watched;
  /** Changes before it are not told of. */
  readonly since: bigint;
  readonly note: (message: Uint8Array) => void;
}

const callOf = (watch: WatchCall | RawCall): RawCall => (watch instanceof WatchCall ? watch.call : watch);

const toldBy = ({ events }: WatchResponse): Told[] =>
  events.map(({ kv, type }) => ({
    key: latin1(kv?.key ?? new Uint8Array()),
    type,
    revision: kv?.modRevision ?? 0n,
  }));

/** The watches of a run. */
export class Watches {
  readonly #open: Open[] = [];

  /** Takes a watch that was asked for, and waits until it is there, or refused. */
  async add(watch: WatchCall | RawCall, watched: Watched, note: Open['note']): Promise<Seen> {
    const message = await callOf(watch).next();
    assert.ok(message, 'the stream of the watch ended');
    const { created, canceled, header } = fromBinary(WatchResponseSchema, message);
    assert.ok(created);
    note(message);
    if (!canceled) this.#open.push({ watch, watched, since: header?.revision ?? 0n, note });
    return { canceled };
  }

  /** Each has been told of what happened to its keys, and of nothing else. */
  async check(history: WatchCall): Promise<void> {
    const all = await toEnd(history);
    for (const open of this.#open) {
      const { watch, watched, since } = open;
      const { prefix, span } = watched;
      const expected = all
        .filter(
          ({ key, revision }) => revision > since && key.startsWith(prefix) && key.length > prefix.length,
        )
        .map((told) => ({ ...told, key: told.key.slice(prefix.length) }))
        .filter(({ key }) => isIn(key, span));
      const told =
        watch instanceof WatchCall ? await toEnd(watch, open.note) : await some(open, expected.length);
      assert.deepEqual(told, expected, `the watch of ${JSON.stringify(watched)}`);
    }
  }

  close(): void {
    for (const { watch } of this.#open) callOf(watch).cancel();
  }
}

/** All events until etcd says that there are no others. */
async function toEnd(watch: WatchCall, note: Open['note'] = () => {}): Promise<Told[]> {
  const told: Told[] = [];
  watch.progress();
  for (;;) {
    const message = await watch.call.next();
    assert.ok(message, 'the stream of the watch ended');
    note(message);
    const response = fromBinary(WatchResponseSchema, message);
    if (response.canceled) throw new Error(`canceled: ${response.cancelReason}`);
    if (response.events.length === 0) return told;
    told.push(...toldBy(response));
  }
}

/** So many events, where nobody can ask for progress. */
async function some({ watch, note }: Open, count: number): Promise<Told[]> {
  const told: Told[] = [];
  while (told.length < count) {
    const message = await callOf(watch).next();
    assert.ok(message, 'the stream of the watch ended');
    note(message);
    told.push(...toldBy(fromBinary(WatchResponseSchema, message)));
  }
  return told;
}
