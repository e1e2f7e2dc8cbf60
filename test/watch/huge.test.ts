/** Transactions with more events than a function takes arguments: they arrive whole, once and in order, for everybody. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WatchCreateRequest_FilterType } from '#gen/etcdserverpb/watch_pb.js';
import { Event_EventType } from '#gen/mvccpb/kv_pb.js';
import { type EventRecord, readResponse } from '../../src/etcd/watch-response.ts';
import { until } from '../support/until.ts';
import { b, type Create } from '../support/watch-client.ts';
import { ScriptedClient } from './scripted-client.ts';
import { ScriptedHub } from './scripted-hub.ts';

/** More than V8 passes to a function on a stack of the usual size. */
const EVENTS = 135_000;

const { NOPUT, NODELETE } = WatchCreateRequest_FilterType;

/** The keys are in no order; every tenth one is put, the others are deleted. */
const keyOf = (i: number): string => `h/${(i * 7919) % EVENTS}`;
const isPut = (i: number): boolean => i % 10 === 0;

const transaction = (revision: number) =>
  Array.from({ length: EVENTS }, (_, i) => {
    const kv = { key: b(keyOf(i)), modRevision: BigInt(revision), value: b(isPut(i) ? 'new' : '') };
    const type = isPut(i) ? Event_EventType.PUT : Event_EventType.DELETE;
    return { type, kv, prevKv: { key: kv.key, value: b('old') } };
  });

/** A watch, and which events of the transaction it gets. */
interface Wish {
  readonly create: Create;
  readonly gets: (key: string, i: number) => boolean;
}

const all: Create = { key: b('h/'), rangeEnd: b('h0') };
const WISHES: Readonly<Record<string, Wish>> = {
  everything: { create: all, gets: () => true },
  'previous values': { create: { ...all, prevKv: true }, gets: () => true },
  'no puts': { create: { ...all, filters: [NOPUT] }, gets: (_, i) => !isPut(i) },
  'no deletes': { create: { ...all, filters: [NODELETE], prevKv: true }, gets: (_, i) => isPut(i) },
  'a part': { create: { key: b('h/1'), rangeEnd: b('h/2') }, gets: (key) => key.startsWith('h/1') },
  'one key': { create: { key: b('h/7') }, gets: (key) => key === 'h/7' },
  'no key of it': { create: { key: b('h/x') }, gets: () => false },
};

/** A client that keeps of what it gets where events are, and decodes nothing else. */
class RecordingClient extends ScriptedClient {
  readonly records: EventRecord[] = [];
  /** How many of them are of a revision. */
  readonly #counts = new Map<number, number>();
  /** The operations that it has to hear of. */
  readonly #wanted: readonly number[];
  readonly wish: Wish;
  readonly title: string;

  constructor(at: ScriptedHub, kind: string, title: string, startRevision: bigint) {
    super(at.service);
    this.wish = WISHES[title] as Wish;
    this.title = `${kind}: ${title}`;
    this.#wanted = Array.from({ length: EVENTS }, (_, i) => i).filter((i) => this.wish.gets(keyOf(i), i));
    this.watch({ ...this.wish.create, startRevision });
  }

  override send(message: Uint8Array): boolean {
    const { events } = readResponse(message);
    if (events.length === 0) return super.send(message);
    for (const event of events) {
      this.records.push(event);
      this.#counts.set(event.revision, (this.#counts.get(event.revision) ?? 0) + 1);
    }
    return super.send(new Uint8Array(0));
  }

  hasAll(revision: number): boolean {
    return (this.#counts.get(revision) ?? 0) >= this.#wanted.length;
  }

  check(revision: number): void {
    const ours = this.records.filter((record) => record.revision === revision);
    const wanted = this.#wanted;
    // Compared as texts: a difference in a list of this length takes minutes to be printed.
    const keys = wanted.map((i) => `${isPut(i) ? '+' : '-'}${keyOf(i)}`).join();
    assert.equal(
      ours.map(({ key, isDelete }) => `${isDelete ? '-' : '+'}${key}`).join() === keys,
      true,
      this.title,
    );
    const prev = ours.filter(({ prevStart, prevEnd }) => prevStart < prevEnd);
    assert.equal(prev.length, this.wish.create.prevKv ? ours.length : 0, this.title);
    assert.ok(
      this.records.every((record, i) => record.revision >= (this.records[i - 1]?.revision ?? 0)),
      this.title,
    );
  }
}

test(`a transaction of ${EVENTS} operations is whole for who keeps up, who lags, and who comes later`, async () => {
  using at = new ScriptedHub();
  await at.watching('h/', { rangeEnd: b('h0'), prevKv: true });
  const feed = await at.created('h/');
  const join = async (kind: string, start: bigint): Promise<RecordingClient[]> => {
    const clients = Object.keys(WISHES).map((title) => new RecordingClient(at, kind, title, start));
    await until('the watches', () => clients.every(({ responses }) => responses.length > 0));
    return clients;
  };
  const synced = await join('synced', 0n);
  const lagging = await join('lagging', 0n);
  // The next that they are sent is the last that they take.
  for (const client of lagging) client.stop();
  for (const key of ['h/1', 'h/7', 'h/x']) at.tell(feed, key);
  const revision = ++at.upstream.revision;
  feed.say(revision, { events: transaction(revision) });
  for (const key of ['h/1', 'h/7', 'h/x']) at.tell(feed, key);
  const late = await join('late', 2n);
  for (const client of lagging) client.go();
  const all = [...synced, ...lagging, ...late];
  await until('all of it', () => all.every((client) => client.hasAll(revision)), 120_000);
  for (const client of all) client.check(revision);
  await until('nobody lags', () => at.hub.stats.lagging === 0);
  assert.equal(at.upstream.watches.length, 1);
});
