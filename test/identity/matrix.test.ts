/**
 * Everybody, through every door, of proxies with every tier of memory: whatever a client is shown or told, a direct client
 * with the same credentials at that moment is. Roles are taken away meanwhile, users go and come back, auth is switched off
 * and on. It takes long: LONG=1 runs it on every release at hand with all tiers and doors, MATRIX=1 a part of it on the newest;
 * otherwise two proxies by gRPC: one with a user of its own and a prefix in memory, and one that knows users by their tokens
 * alone.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LONG, newestEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { b, type Create } from '../support/watch-client.ts';
import { TOKEN_KINDS } from '../watch/tokens.ts';
import type { Credentials, Door, Read, Watching } from './doors.ts';
import { addUser, NAMESPACE, Place, type Proxied, type Setup } from './matrix-place.ts';

/** Whether more than two proxies and one door are asked. */
const MANY = LONG || process.env.MATRIX === '1';

const TIMEOUT = { timeout: LONG ? 600_000 : 180_000 };

/** So often each read is made, so that answers are remembered. */
const REPEATED = LONG ? 2 : 1;

/** How often shared watches are confirmed here. */
const REAUTHORIZE = '--watch-reauthorize=500ms';

const setup = (name: string, own: boolean, namespace: string, ...flags: string[]): Setup => ({
  name: `${name}${own ? ' with a user' : ''}${namespace === '' ? '' : ' in a namespace'}`,
  own,
  namespace,
  flags: [REAUTHORIZE, ...(namespace === '' ? [] : [`--namespace=${namespace}`]), ...flags],
});

/** No memory, memory of answers, and a prefix held in memory; without a user of the proxy's own and with one. */
const ALL: readonly Setup[] = ['', NAMESPACE].flatMap((namespace) =>
  [false, true].flatMap((own) => [
    setup('no memory', own, namespace, '--cache=off'),
    setup('cache', own, namespace),
    setup('prefix', own, namespace, `--cache-prefix=${namespace}/a/`),
  ]),
);
const TWO: readonly Setup[] = [setup('prefix', true, '', '--cache-prefix=/a/'), setup('cache', false, '')];
const FEW: readonly Setup[] = [...TWO, setup('cache', true, NAMESPACE)];

const READS: readonly (readonly [string, Read])[] = [false, true].flatMap((serializable) =>
  (
    [
      ['one key', { key: b('/a/x') }],
      ...(LONG ? [['another key', { key: b('/b/x') }] satisfies [string, Read]] : []),
      ['a prefix', { key: b('/a/'), rangeEnd: b('/a0') }],
      ['from a key on', { key: b('/a/x'), rangeEnd: b('\0') }],
    ] satisfies [string, Read][]
  ).map(([name, read]): [string, Read] => [
    `${name}${serializable ? ', serializable' : ''}`,
    { ...read, serializable },
  ]),
);

const WATCHES: readonly (readonly [string, (past: bigint) => Create])[] = [
  ['one key', () => ({ key: b('/a/x') })],
  ['another key', () => ({ key: b('/b/x') })],
  ['a prefix', () => ({ key: b('/a/'), rangeEnd: b('/a0'), progressNotify: true })],
  ['one key, from the past', (past) => ({ key: b('/a/x'), startRevision: past })],
  [
    'a prefix, from the past',
    (past) => ({ key: b('/a/'), rangeEnd: b('/a0'), startRevision: past, prevKv: true }),
  ],
];

type Everybody = Readonly<Record<string, Credentials>>;

async function everybody(place: Place): Promise<Everybody> {
  const names = ['root', 'reader', 'other', 'writer', 'none'];
  const signedIn = await Promise.all(names.map(async (name) => [name, await place.as(name)] as const));
  return { ...Object.fromEntries(signedIn), nobody: {}, expired: place.expired() };
}

/** A door of a proxy, with words for a message. */
interface Way extends Pick<Proxied, 'direct' | 'namespace'> {
  readonly words: string;
  readonly door: Door;
}

/** All doors of the first proxy, and of the others gRPC's; with enough time all of all. */
function waysOf({ proxies }: Place): Way[] {
  return proxies.flatMap(({ name, doors, direct, namespace }, at) =>
    doors
      .slice(0, LONG || (MANY && at === 0) ? doors.length : 1)
      .map((door) => ({ words: `${name}, ${door.name}`, door, direct, namespace })),
  );
}

/** Whoever reads whatever through whichever door gets what etcd gives to it, at once or, where it may be remembered, soon. */
async function readsAreEtcds(place: Place, who: Everybody, when: string): Promise<void> {
  const checks = Object.entries(who).map(async ([name, credentials]) => {
    for (const [what, read] of READS) {
      const direct = new Map<Door, string>();
      for (const way of waysOf(place)) {
        const theirs = direct.get(way.direct) ?? (await way.direct.range(read, credentials));
        direct.set(way.direct, theirs);
        const words = `${when}: ${name} reads ${what} by ${way.words}`;
        const ours = () => way.door.range(read, credentials);
        if (read.serializable === true)
          await until(
            () => `${words}, as etcd: ${theirs}`,
            async () => (await ours()) === theirs,
          );
        for (let i = 0; i < REPEATED; i++) assert.equal(await ours(), theirs, words);
      }
    }
  });
  await Promise.all(checks);
}

type Revisions = Awaited<ReturnType<Place['put']>>;

interface Pair {
  readonly words: string;
  /** The key whose change is the last that it is told. */
  readonly last: string;
  readonly theirs: Watching;
  readonly ours: Watching;
}

/** The same watches directly and through each door. */
function watchBoth(held: DisposableStack, place: Place, who: Everybody, past: Revisions): Pair[] {
  const open = (door: Door, request: Create, credentials: Credentials): Watching => {
    const watching = door.watch(request, credentials);
    held.defer(() => watching.close());
    return watching;
  };
  return Object.entries(who).flatMap(([name, credentials]) =>
    WATCHES.flatMap(([what, request]) => {
      const direct = new Map<Door, Watching>();
      return waysOf(place).map((way) => {
        const asked = request(BigInt(past[way.namespace] ?? 0));
        const theirs = direct.get(way.direct) ?? open(way.direct, asked, credentials);
        direct.set(way.direct, theirs);
        return {
          words: `${name} watches ${what} by ${way.words}`,
          last: what.startsWith('a prefix') ? '/a/y' : what === 'another key' ? '/b/x' : '/a/x',
          theirs,
          ours: open(way.door, asked, credentials),
        };
      });
    }),
  );
}

async function watchesAreEtcds(place: Place, who: Everybody, when: string): Promise<void> {
  using held = new DisposableStack();
  const past = await place.put('/a/x', `${when}, past`);
  const pairs: Pair[] = [];
  // One after the other: of more than a thousand streams that begin at once, on a busy machine, the last get no answer in time.
  for (const [name, credentials] of Object.entries(who)) {
    const theirWatches = watchBoth(held, place, { [name]: credentials }, past);
    for (const { words, theirs, ours } of theirWatches)
      assert.equal(await within(ours.first, words), await within(theirs.first, words), `${when}: ${words}`);
    pairs.push(...theirWatches);
  }
  for (const key of ['/a/x', '/b/x', '/a/y']) await place.put(key, when);
  for (const { words, last, theirs, ours } of pairs) {
    if ((await theirs.first) !== 'created') continue;
    const done = ({ events }: Watching) => events.some((event) => event.startsWith(`${last}=${when}@`));
    await until(
      () => `${when}: ${words}: ${told(theirs)}; ours ${told(ours)}`,
      () => done(theirs) && done(ours),
    );
    assert.deepEqual(ours.events, theirs.events, `${when}: ${words}`);
  }
  for (const { words, theirs, ours } of pairs)
    if ((await theirs.first) !== 'created') assert.deepEqual(ours.events, [], `${when}: ${words}`);
}

const told = ({ events, over }: Watching): string => `${events.join(' ')} ${over ?? 'goes on'}`;

async function within<T>(promise: Promise<T>, words: string): Promise<T> {
  let answer: { readonly value: T } | undefined;
  void promise.then((value) => {
    answer = { value };
  });
  return (await until(`an answer: ${words}`, () => answer)).value;
}

/** What a client is shown is what a direct one is, perhaps less of it. */
function nothingMore({ words, theirs, ours }: Pair): void {
  const seen = new Set(theirs.events);
  for (const event of ours.events) assert.ok(seen.has(event), `${words}: ${event} was shown`);
}

/** A watch of somebody who signs in again and goes on whenever it is told to. */
class Resuming {
  readonly events: string[] = [];
  readonly #place: Place;
  readonly #door: Door;
  readonly #name: string;
  #watching: Watching | undefined;
  #closed = false;

  constructor(place: Place, door: Door, name: string) {
    this.#place = place;
    this.#door = door;
    this.#name = name;
  }

  /** Begins, and comes back until it is closed. */
  async begin(start: number): Promise<void> {
    let next = start;
    const credentials = await this.#place.as(this.#name);
    const watching = this.#door.watch(
      { key: b('/a/'), rangeEnd: b('/a0'), startRevision: BigInt(next) },
      credentials,
    );
    this.#watching = watching;
    await within(watching.first, 'a watch that goes on');
    void until('the end', () => watching.over !== undefined || this.#closed, 600_000).then(async () => {
      this.#take();
      if (this.#closed) return;
      next = this.events.length === 0 ? start : Number(this.events.at(-1)?.split('@')[1]) + 1;
      await this.begin(next);
    });
  }

  /** All that it was shown so far. */
  get shown(): string[] {
    return [...this.events, ...(this.#watching?.events ?? [])];
  }

  close(): void {
    this.#closed = true;
    this.#watching?.close();
  }

  #take(): void {
    this.events.push(...(this.#watching?.events ?? []));
    this.#watching = undefined;
  }
}

/** A role that is nobody's business changes while others watch: they go on, or come back, and miss nothing. */
async function unrelatedChange(place: Place): Promise<void> {
  const before = await place.put('/a/x', 'before');
  const watches = waysOf(place).map((way) => ({ way, watch: new Resuming(place, way.door, 'other') }));
  await Promise.all(watches.map(({ way, watch }) => watch.begin((before[way.namespace] ?? 0) + 1)));
  const written: (readonly [string, Revisions])[] = [];
  for (let i = 0; i < 4; i++) {
    written.push([`/a/x=${i}@`, await place.put('/a/x', `${i}`)]);
    const perm = { permType: 0, key: b('/z/'), rangeEnd: b('/z0') };
    await place.root((options) => place.auth.roleGrantPermission({ name: 'none', perm }, options));
    await place.root((options) =>
      place.auth.roleRevokePermission({ role: 'none', key: perm.key, rangeEnd: perm.rangeEnd }, options),
    );
    written.push([`/a/y=${i}@`, await place.put('/a/y', `${i}`)]);
  }
  for (const { way, watch } of watches) {
    const all = written.map(([event, revisions]) => `${event}${revisions[way.namespace]}`);
    await until(
      () => `${way.words}: all events, not ${watch.shown}`,
      () => watch.shown.length >= all.length,
    );
    assert.deepEqual(watch.shown, all, way.words);
    watch.close();
  }
}

/** A role is taken from one who watches. To etcd that is nothing to the watch; the proxy never shows more than etcd. */
async function revoked(place: Place): Promise<void> {
  using held = new DisposableStack();
  const reader = { reader: await place.as('reader') };
  const past = await place.put('/a/x', 'permitted');
  const pairs = watchBoth(held, place, reader, past).filter(({ last }) => last !== '/b/x');
  for (const { words, ours } of pairs) assert.equal(await within(ours.first, words), 'created', words);
  await place.root((options) => place.auth.userRevokeRole({ name: 'reader', role: 'reader' }, options));
  await readsAreEtcds(place, reader, 'a role was taken away');
  const shared = (words: string) => words.includes('with a user');
  for (const { words, ours } of pairs)
    if (shared(words))
      await until(`an end: ${words}`, () => /permission denied|^canceled|^14 /.test(ours.over ?? ''));
  await place.put('/a/x', 'late');
  for (const { words, theirs } of pairs)
    await until(`it goes on: ${words}`, () => /late@/.test(told(theirs)));
  await watchesAreEtcds(place, reader, 'without the role');
  for (const pair of pairs) {
    nothingMore(pair);
    if (shared(pair.words))
      assert.ok(!told(pair.ours).includes('late@'), `${pair.words}: ${told(pair.ours)}`);
  }
  await place.root((options) => place.auth.userGrantRole({ user: 'reader', role: 'reader' }, options));
  const again = { reader: await place.as('reader') };
  await readsAreEtcds(place, again, 'the role is there again');
  await watchesAreEtcds(place, again, 'the role is there again');
}

/** A user goes and comes back: an old token is what etcd takes it for. */
async function deleted(place: Place): Promise<void> {
  using held = new DisposableStack();
  const gone = { gone: await place.as('gone') };
  const past = await place.put('/a/x', 'there');
  const pairs = watchBoth(held, place, gone, past).filter(({ last }) => last !== '/b/x');
  for (const { words, ours } of pairs) assert.equal(await within(ours.first, words), 'created', words);
  await place.root((options) => place.auth.userDelete({ name: 'gone' }, options));
  await readsAreEtcds(place, gone, 'a user is gone');
  await watchesAreEtcds(place, gone, 'a user is gone');
  await place.root((options) => addUser(place.auth, 'gone', options));
  await readsAreEtcds(place, gone, 'a user is there again, an old token');
  await watchesAreEtcds(place, gone, 'a user is there again, an old token');
  const back = { gone: await place.as('gone') };
  await readsAreEtcds(place, back, 'a user is there again');
  await watchesAreEtcds(place, back, 'a user is there again');
  await until('etcd itself has told all', () => pairs.every(({ theirs }) => theirs.events.length > 0));
  for (const pair of pairs) nothingMore(pair);
}

/** Auth is switched off, so that everybody may do everything, and on again. */
async function switched(place: Place, who: Everybody): Promise<void> {
  await place.root((options) => place.auth.authDisable({}, options));
  await readsAreEtcds(place, who, 'auth is off');
  await place.auth.authEnable({});
  await readsAreEtcds(place, who, 'auth is on again, old tokens');
  const fresh = await everybody(place);
  await readsAreEtcds(place, fresh, 'auth is on again');
  await watchesAreEtcds(place, fresh, 'auth is on again');
}

describe('nobody is shown or told anything else than directly', async () => {
  for (const install of await newestEtcds())
    for (const kind of MANY ? TOKEN_KINDS : (['simple'] as const))
      test(`etcd ${install.version}, ${kind} tokens`, TIMEOUT, async () => {
        await using place = await Place.start(install, kind, LONG ? ALL : MANY ? FEW : TWO);
        for (const key of ['/a/x', '/a/y', '/b/x']) await place.put(key, 'first');
        const who = await everybody(place);
        await readsAreEtcds(place, who, 'at first');
        await watchesAreEtcds(place, who, 'at first');
        await unrelatedChange(place);
        await revoked(place);
        await deleted(place);
        await switched(place, await everybody(place));
      });
});
