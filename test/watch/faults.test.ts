/**
 * Faults of the program itself: whatever call throws while watches are placed, moved and told, every watch is served or
 * its stream ended, so that its client comes back; none waits on no list, and nothing is left when all have gone.
 * `FAULTS_OF` is a pattern of the calls that throw, if not all are to.
 */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { IdentityProbes } from '../../src/clients/identity-probes.ts';
import { Code, type Status } from '../../src/rpc/status.ts';
import { Audience } from '../../src/watch/audience.ts';
import { Batch } from '../../src/watch/batch.ts';
import { Beginning, Beginnings } from '../../src/watch/beginnings.ts';
import { CatchUps } from '../../src/watch/catch-ups.ts';
import { ClientOutput } from '../../src/watch/client-output.ts';
import { Cursors } from '../../src/watch/cursors.ts';
import { PassedOver } from '../../src/watch/far-behind.ts';
import { Feed } from '../../src/watch/feed.ts';
import { FeedIntake } from '../../src/watch/feed-intake.ts';
import { FeedPlacement } from '../../src/watch/feed-placement.ts';
import { FeedTable } from '../../src/watch/feed-table.ts';
import { Flow } from '../../src/watch/flow.ts';
import { History } from '../../src/watch/history.ts';
import { IdentityFeeds } from '../../src/watch/identity-feeds.ts';
import { Inbox } from '../../src/watch/inbox.ts';
import { KnownStore } from '../../src/watch/known-store.ts';
import { LaggingWatchers } from '../../src/watch/lagging-watchers.ts';
import { MissedBatches } from '../../src/watch/missed-batches.ts';
import { ProgressQuestions } from '../../src/watch/progress-questions.ts';
import { ProgressRounds } from '../../src/watch/progress-rounds.ts';
import { RangeMap } from '../../src/watch/range-map.ts';
import { Ticket } from '../../src/watch/request-ticket.ts';
import { RevisionWaiters } from '../../src/watch/revision-waiters.ts';
import { CreateLine } from '../../src/watch/rides/create-line.ts';
import { Drain } from '../../src/watch/rides/drain.ts';
import { LiveStreams } from '../../src/watch/rides/live-streams.ts';
import { PastStreams } from '../../src/watch/rides/past-streams.ts';
import { Ride } from '../../src/watch/rides/ride.ts';
import { Rides } from '../../src/watch/rides/rides.ts';
import { Seat } from '../../src/watch/rides/seat.ts';
import { SharedStream } from '../../src/watch/rides/shared-stream.ts';
import { StreamGroup } from '../../src/watch/rides/stream-group.ts';
import { StreamQuestions } from '../../src/watch/rides/stream-questions.ts';
import { Selection } from '../../src/watch/selection.ts';
import { TicketLine } from '../../src/watch/ticket-line.ts';
import { TurnVisits } from '../../src/watch/turn-visits.ts';
import { UniqueQueue } from '../../src/watch/unique-queue.ts';
import { Watcher } from '../../src/watch/watcher.ts';
import { WatcherIndex } from '../../src/watch/watcher-index.ts';
import { LONG } from '../support/releases.ts';
import { b, type Create } from '../support/watch-client.ts';
import { ScriptedClient } from './scripted-client.ts';
import { ScriptedHub } from './scripted-hub.ts';
import type { ScriptedWatch } from './scripted-upstream.ts';

type Part = abstract new (...args: never[]) => object;

/** What feeds have of the streams that they ride on. */
const RIDES: readonly Part[] = [
  ...[
    CreateLine,
    Drain,
    LiveStreams,
    PastStreams,
    Ride,
    Rides,
    Seat,
    SharedStream,
    StreamGroup,
    StreamQuestions,
  ],
];

/** What takes part in placing, moving and telling a watcher. */
const PARTS: readonly Part[] = [
  ...[
    Audience,
    Batch,
    Beginning,
    Beginnings,
    LaggingWatchers,
    CatchUps,
    Cursors,
    Feed,
    FeedPlacement,
    FeedTable,
    Flow,
    History,
    IdentityFeeds,
  ],
  ...[
    IdentityProbes,
    FeedIntake,
    KnownStore,
    UniqueQueue,
    MissedBatches,
    ProgressQuestions,
    ProgressRounds,
    RangeMap,
    RevisionWaiters,
    Selection,
  ],
  ...[ScriptedClient, Ticket, TicketLine, TurnVisits, Watcher, WatcherIndex],
  ...[ClientOutput, Inbox, PassedOver],
  ...RIDES,
];

/** What catches faults, and what the hub calls of its clients. */
const SPARED: ReadonlySet<string> = new Set(['constructor', 'onFault', 'onProbed']);
/** So do these of a stream. */
const GUARDS: ReadonlySet<string> = new Set(['guard', 'onMessage']);
const OF_CLIENTS: ReadonlySet<string> = new Set(['send', 'sendJoined', 'hold']);

/** A stream to etcd that meets a fault while it is given up, which nobody needs any more, may stay. */
const GIVING_UP =
  /^(StreamQuestions\.close|Ride\.(cancel|has)|Rides\.on(Gone|Over)|Feed\.stop|PastStreams\.forget|LiveStreams\.forget|(SharedStream|StreamGroup)\.(close|leave|size|onGone|onLeft))$/;
/** So may a feed that nobody needs any more where the last who waited for it could not leave it. */
const LEAVING = /, (Beginning\.join|Ticket\.finish|Feed\.unsubscribe)$|Beginning\.leave/m;
const LOST = { code: Code.UNAVAILABLE, message: 'lost' } as Status;

/** Has the call of a number throw, of all calls to the parts. */
class Injection {
  /** The calls so far. */
  readonly calls: string[] = [];
  /** What threw, and what it threw. */
  where = '';
  fault: Error | undefined;
  readonly #at: number;
  readonly #restore: (() => void)[] = [];

  constructor(at: number) {
    this.#at = at;
    for (const part of PARTS)
      for (const [name, found] of Object.entries(Object.getOwnPropertyDescriptors(part.prototype))) {
        const original = found.get ?? found.value;
        if (typeof original !== 'function' || SPARED.has(name)) continue;
        // At the end of a turn, which is nobody's.
        if (part === Audience && name === 'release') continue;
        if (part === ScriptedClient && !OF_CLIENTS.has(name)) continue;
        if (part === SharedStream && GUARDS.has(name)) continue;
        const injection = this;
        function changed(this: unknown, ...args: unknown[]): unknown {
          // What a stream does at a time of its own, or for its turn, is not the feed's.
          const stack = name === 'catchesUp' || part === UniqueQueue ? new Error().stack : undefined;
          if (/feed-guard|turns\.ts|rides/.test(stack ?? '')) return Reflect.apply(original, this, args);
          const call = `${part.name}.${name}`;
          injection.calls.push(call);
          if (injection.calls.length !== injection.#at) return Reflect.apply(original, this, args);
          injection.where = call;
          injection.fault = new Error(`a fault in call ${injection.#at}, ${call}`);
          throw injection.fault;
        }
        const descriptor =
          found.get === undefined ? { ...found, value: changed } : { ...found, get: changed };
        Object.defineProperty(part.prototype, name, descriptor);
        this.#restore.push(() => Object.defineProperty(part.prototype, name, found));
      }
  }

  end(): void {
    for (const restore of this.#restore) restore();
  }
}

/** Everything that takes no time has happened. */
async function settled(): Promise<void> {
  for (let i = 0; i < 12; i++) await turn();
}

/** A client, and the revisions that it has to have in the end. */
interface Served {
  readonly name: string;
  readonly client: ScriptedClient;
  readonly revisions: readonly number[];
}

const ALL: Create = { key: b('m/'), rangeEnd: b('m0') };
/** From here to here there are events, each of one of two keys. */
const [FIRST, LAST] = [2, 16];
const revisionsFrom = (first: number, of: (revision: number) => boolean = () => true): number[] =>
  Array.from({ length: LAST - first + 1 }, (_, i) => first + i).filter(of);
const keyOf = (revision: number): string => (revision % 2 === 0 ? 'm/even' : 'm/odd');
const isOdd = (revision: number): boolean => revision % 2 === 1;

/** So many milliseconds pass between two things that happen: streams of the past are closed to newcomers meanwhile. */
const TURN_MS = 30;

/** What etcd has told of each watch. */
class Told {
  readonly #upTo = new Map<ScriptedWatch, number>();
  readonly #at: ScriptedHub;

  constructor(at: ScriptedHub) {
    this.#at = at;
  }

  /** etcd answers what is new, and tells everybody what happened up to a revision. */
  async tell(upTo: number): Promise<void> {
    await settled();
    mock.timers.tick(TURN_MS);
    await settled();
    const { upstream } = this.#at;
    for (const watch of upstream.watches) {
      if (watch.cancelled) continue;
      const { key, start } = watch;
      if (!this.#upTo.has(watch)) {
        this.#upTo.set(watch, (start || upstream.revision + 1) - 1);
        watch.say(upstream.revision, { created: true });
      }
      for (let revision = (this.#upTo.get(watch) as number) + 1; revision <= upTo; revision++) {
        const kv = { key: b(keyOf(revision)), modRevision: BigInt(revision), value: b('v') };
        if (!watch.cancelled && (key === 'm/' || key === keyOf(revision)))
          watch.say(upstream.revision, { events: [{ kv, prevKv: kv }] });
        this.#upTo.set(watch, revision);
      }
    }
    await settled();
  }

  /** It says how far they are. */
  progress(): void {
    const { revision, streams } = this.#at.upstream;
    for (const stream of streams) if (!stream.cancelled) stream.answer(revision);
  }
}

/** Watches that begin now, in the past and far back, that stop reading and go on, and are told their progress. */
async function story(at: ScriptedHub, clients: Served[]): Promise<void> {
  const etcd = new Told(at);
  const { upstream } = at;
  const join = (name: string, create: Create, revisions: readonly number[]): ScriptedClient => {
    const client = at.client();
    clients.push({ name, client, revisions });
    client.watch(create);
    return client;
  };
  join('first', { ...ALL, prevKv: true }, revisionsFrom(FIRST));
  await etcd.tell(1);
  join('a part', { key: b('m/odd') }, revisionsFrom(FIRST, isOdd));
  const slow = join('one that stops', ALL, revisionsFrom(FIRST));
  await etcd.tell(1);
  slow.stop();
  upstream.revision = 10;
  await etcd.tell(10);
  join('from history', { ...ALL, startRevision: 9n }, revisionsFrom(9));
  const back = join('from the past', { ...ALL, startRevision: 3n }, revisionsFrom(3));
  await etcd.tell(2);
  back.stop();
  await etcd.tell(6);
  back.go();
  // What it needs has been forgotten.
  slow.go();
  await etcd.tell(10);
  await etcd.tell(10);
  upstream.revision = LAST;
  await etcd.tell(LAST);
  upstream.revision = LAST + 1;
  for (const { client } of clients) client.progress();
  await settled();
  etcd.progress();
  await settled();
  // A stream that was lost is opened again after a while.
  const isMissed = ({ client, revisions }: Served): boolean =>
    client.ending === undefined && client.revisions.length < revisions.length;
  for (let i = 0; i < 20 && clients.some(isMissed); i++) await etcd.tell(LAST);
}

/** Plays the story with a call that throws. @returns all calls */
async function attempt(faulty: number): Promise<readonly string[]> {
  // The same calls in the same order each time, and none of an attempt before.
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const reported: unknown[] = [];
  using at = new ScriptedHub({ historyRevisions: 4, onFault: (error) => void reported.push(error) });
  const injection = new Injection(faulty);
  const clients: Served[] = [];
  try {
    await story(at, clients);
  } catch (error) {
    assert.fail(`call ${faulty}, ${injection.where}: ${error instanceof Error ? error.stack : error}`);
  } finally {
    injection.end();
  }
  const what = `call ${faulty}, ${injection.where}`;
  for (const { name, client, revisions } of clients) {
    if (client.ending === undefined) assert.deepEqual(client.revisions, revisions, `${what}: ${name}`);
    else {
      assert.equal(client.ending.code, Code.UNAVAILABLE, `${what}: ${name}`);
      // It goes on where it is, so nothing may be missing before.
      assert.deepEqual(client.revisions, revisions.slice(0, client.revisions.length), `${what}: ${name}`);
    }
  }
  assert.deepEqual(reported, injection.fault === undefined ? [] : [injection.fault], what);
  assert.equal(at.hub.stats.faults, reported.length, what);
  for (const { client } of clients) if (client.ending === undefined) client.leave();
  const left = LEAVING.test(injection.fault?.stack ?? '') ? 0 : at.hub.stats.feeds;
  at[Symbol.dispose]();
  const { watchers, lagging, feeds, streams } = at.hub.stats;
  assert.deepEqual({ watchers, lagging, feeds, left }, { watchers: 0, lagging: 0, feeds: 0, left: 0 }, what);
  if (!GIVING_UP.test(injection.where)) assert.equal(streams, 0, what);
  // Whatever of them is left has calls under way, which the next attempt would count.
  for (const stream of at.upstream.streams) if (!stream.cancelled) stream.end(LOST);
  await settled();
  return injection.calls;
}

/** Of the calls to each method the first and the last; with `LONG=1` all. */
function chosen(calls: readonly string[]): number[] {
  const numbers = new Map<string, number[]>();
  for (const [i, call] of calls.entries()) numbers.set(call, [...(numbers.get(call) ?? []), i + 1]);
  if (LONG) return [...numbers.values()].flat();
  return [...numbers.values()].flatMap((all) => [...new Set([all[0] as number, all.at(-1) as number])]);
}

test('whatever call throws, every watch is served or its stream ended', async (context) => {
  const calls = await attempt(0);
  const numbers = chosen(calls);
  context.diagnostic(
    `${calls.length} calls to ${new Set(calls).size} methods, of which ${numbers.length} threw`,
  );
  assert.ok(new Set(calls).size > 100);
  const failures: string[] = [];
  const only = process.env.FAULTS_OF === undefined ? undefined : new RegExp(process.env.FAULTS_OF);
  for (const faulty of numbers) {
    if (only?.test(calls[faulty - 1] as string) === false) continue;
    try {
      await attempt(faulty);
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  assert.deepEqual(failures, []);
});
