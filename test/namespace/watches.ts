/** Watches of clients, and what they should have been told by the history of etcd. */
import assert from 'node:assert/strict';
import { fromBinary } from '@bufbuild/protobuf';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { type WatchResponse, WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import type { Event_EventType } from '#gen/mvccpb/kv_pb.js';
import type { RawCall, RawGrpcClient } from '../support/raw-grpc.ts';
import { WatchCall } from '../support/watch-client.ts';
import type { Span } from './steps.ts';
import { ask, bytesOf, isIn, latin1 } from './world.ts';

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

  /**
   * Each has been told of what happened to its keys, and of nothing else.
   * @param history watches every key of this etcd
   * @param progressIsSafe whether they can be asked if there is more
   */
  async check(history: WatchCall, etcd: RawGrpcClient, progressIsSafe: boolean): Promise<void> {
    const all = await untilPut(history, etcd);
    for (const open of this.#open) {
      const { watch, watched, since } = open;
      const { prefix, span } = watched;
      const expected = all
        .filter(
          ({ key, revision }) => revision > since && key.startsWith(prefix) && key.length > prefix.length,
        )
        .map((told) => ({ ...told, key: told.key.slice(prefix.length) }))
        .filter(({ key }) => isIn(key, span));
      const told = await some(open, expected.length);
      if (watch instanceof WatchCall && progressIsSafe) told.push(...(await toEnd(watch, open.note)));
      assert.deepEqual(told, expected, `the watch of ${JSON.stringify(watched)}`);
    }
  }

  close(): void {
    for (const { watch } of this.#open) callOf(watch).cancel();
  }
}

/** All events until a put, which is not among them. */
async function untilPut(history: WatchCall, etcd: RawGrpcClient): Promise<Told[]> {
  const { header } = await ask(etcd, KV.method.put, { key: bytesOf('the end') });
  const told: Told[] = [];
  while (told.at(-1)?.revision !== header?.revision) {
    const message = await history.call.next();
    assert.ok(message, 'the stream of the watch ended');
    told.push(...toldBy(fromBinary(WatchResponseSchema, message)));
  }
  return told.slice(0, -1);
}

/** All events until etcd says that there are no others. */
async function toEnd(watch: WatchCall, note: Open['note']): Promise<Told[]> {
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

/** So many events. */
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
