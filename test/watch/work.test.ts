/** What watches cost as there are more of them: calls are counted, and twice as many watches take twice as many, not four times. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { Cursors } from '../../src/watch/cursors.ts';
import { Feed } from '../../src/watch/feed.ts';
import { Flow } from '../../src/watch/flow.ts';
import type { IdentityUpstream } from '../../src/watch/identity-upstream.ts';
import { MemberReleases } from '../../src/watch/member-releases.ts';
import { ProgressQuestions, type QuestionedFeed } from '../../src/watch/progress-questions.ts';
import { UniqueQueue } from '../../src/watch/unique-queue.ts';
import { Watcher } from '../../src/watch/watcher.ts';
import { functionCalls } from '../support/function-calls.ts';
import { until } from '../support/until.ts';
import { b } from '../support/watch-client.ts';
import type { ScriptedClient } from './scripted-client.ts';
import { KIB, ScriptedHub } from './scripted-hub.ts';
import type { ScriptedWatch } from './scripted-upstream.ts';

/** Methods and getters that something for each watch may call. */
const COUNTED: readonly (readonly [object, readonly string[]])[] = [
  [Watcher.prototype, ['next', 'feed', 'synced', 'onTick', 'isAt']],
  [Cursors.prototype, ['least', 'attach', 'detach', 'pump', 'size', 'allLagging']],
  [Feed.prototype, ['serves', 'knows', 'target', 'catchesUp', 'state', 'range', 'used']],
  [Flow.prototype, ['look']],
  [KeyRange.prototype, ['contains', 'covers']],
];

/** Counts the calls while something happens. */
async function callsOf(act: () => void | Promise<void>): Promise<number> {
  let calls = 0;
  const restore: (() => void)[] = [];
  for (const [prototype, names] of COUNTED)
    for (const name of names) {
      const found = Object.getOwnPropertyDescriptor(prototype, name);
      if (found === undefined) continue;
      const original = (found.get ?? found.value) as (...args: unknown[]) => unknown;
      function counting(this: unknown, ...args: unknown[]): unknown {
        calls++;
        return Reflect.apply(original, this, args);
      }
      const changed = found.get === undefined ? { ...found, value: counting } : { ...found, get: counting };
      Object.defineProperty(prototype, name, changed);
      restore.push(() => Object.defineProperty(prototype, name, found));
    }
  try {
    await act();
  } finally {
    for (const undo of restore) undo();
  }
  return calls;
}

/** Does something with so many watches, and with twice as many, and compares what it takes. */
async function isLinear(watches: number, act: (watches: number) => Promise<number>): Promise<void> {
  const [once, twice] = [await act(watches), await act(2 * watches)];
  assert.ok(
    once > 0 && twice <= 2.5 * once,
    `${once} calls for ${watches} watches, ${twice} for twice as many`,
  );
}

/** So many watches of parts of a prefix on one stream, and nobody else on their feed. */
async function many(at: ScriptedHub, watches: number): Promise<[ScriptedClient, ScriptedWatch]> {
  const first = await at.watching('m/', { rangeEnd: b('m0') });
  const feed = await at.created('m/');
  const client = at.client();
  for (let i = 0; i < watches; i++) {
    client.watch({ key: b(`m/${i}`), rangeEnd: b('m0') });
    // Few requests of a stream wait.
    if (i % 16 === 15) await until('the watches', () => client.responses.length === i + 1);
  }
  await until('the watches', () => client.responses.length === watches);
  first.leave();
  return [client, feed];
}

describe('many watches that lag', () => {
  test('begin to, are served one by one, and end with their stream', async () => {
    for (const what of ['lag', 'read', 'end'] as const)
      await isLinear(300, async (watches) => {
        using at = new ScriptedHub();
        const [client, feed] = await many(at, watches);
        const acts = {
          lag: () => {
            client.stop();
            for (let i = 0; i < 5; i++) at.tell(feed, 'm/z');
            assert.equal(at.hub.stats.lagging, watches);
          },
          // Each takes one response, and then its client takes no more.
          read: () => {
            for (let i = 0; i < watches; i++) client.go(1);
          },
          end: () => client.leave(),
        };
        const calls = {
          lag: await callsOf(acts.lag),
          read: await callsOf(acts.read),
          end: await callsOf(acts.end),
        };
        assert.equal(at.hub.stats.watchers, 0);
        return calls[what];
      });
  });

  test('on a catch-up are not looked at with every response', async () => {
    await isLinear(300, async (watches) => {
      using at = new ScriptedHub({ historyRevisions: 4 });
      await at.watching('m/', { rangeEnd: b('m0') });
      const main = await at.created('m/');
      for (let i = 0; i < watches; i++) at.tell(main, 'm/z');
      const client = at.client();
      for (let i = 0; i < watches; i++) client.watch({ key: b('m/z'), startRevision: 2n });
      await until('the watches', () => client.responses.length === watches);
      const catchUp = await at.created('m/z', 2);
      client.stop();
      const say = (revision: number): void =>
        catchUp.say(revision, { events: [{ kv: { key: b('m/z'), modRevision: BigInt(revision) } }] });
      say(2);
      return callsOf(() => {
        // As many responses as watches.
        for (let revision = 3; revision < watches; revision++) say(revision);
      });
    });
  });
});

/** A feed whose member is not known, and what asks for its progress. */
function questioned() {
  const status = Promise.withResolvers<Uint8Array>();
  const versions = new MemberReleases(() => status.promise);
  const header = { bytes: new Uint8Array(0), revision: 0, cluster: 'c', member: 'm' };
  const cursors = { allLagging: false };
  const feed = { state: 'live', announced: 0, header, catchesUp: false, cursors, askProgress() {} };
  const progress = new ProgressQuestions(
    feed as unknown as QuestionedFeed,
    { versions } as unknown as IdentityUpstream,
  );
  return { feed, progress, status };
}

describe('many questions for the progress of one feed', () => {
  for (const [what, revisionOf] of [
    ['the same revision', () => 5],
    ['a revision each', (i: number) => 5 + i],
  ] as const)
    test(`wait for ${what} without a look at each other`, async () => {
      await isLinear(1000, async (questions) => {
        const { feed, progress, status } = questioned();
        let answered = 0;
        const count = await functionCalls('/src/watch/', async () => {
          for (let i = 0; i < questions; i++) progress.reach(revisionOf(i), () => answered++);
          // Until it is known that the member's answers are worth nothing, whatever comes is looked at.
          for (; feed.announced < questions / 2; feed.announced++) progress.look();
          status.reject(new RpcError(Code.PERMISSION_DENIED, 'no'));
          await until('all answers', () => answered === questions);
        });
        progress.close();
        return count;
      });
    });
});

test('watches of single keys that lag look at what is for them, and not at all that happened meanwhile', async () => {
  await isLinear(200, async (watches) => {
    using at = new ScriptedHub();
    await at.watching('m/', { rangeEnd: b('m0') });
    const feed = await at.created('m/');
    const client = at.client();
    for (let i = 0; i < watches; i++) {
      client.watch({ key: b(`m/${i}`) });
      if (i % 16 === 15) await until('the watches', () => client.responses.length === i + 1);
    }
    await until('the watches', () => client.responses.length === watches);
    client.stop();
    const revisions = Array.from({ length: watches }, (_, i) => at.tell(feed, `m/${i}`));
    const calls = await callsOf(() => {
      // Each takes one response, and then its client takes no more.
      for (let i = 0; i < watches; i++) client.go(1);
      client.go();
    });
    assert.deepEqual(client.revisions, revisions);
    return calls;
  });
});

test('watches of single keys that lag do not look at every event of a huge delete', async () => {
  await isLinear(200, async (watches) => {
    using at = new ScriptedHub();
    await at.watching('k/', { rangeEnd: b('k0') });
    const feed = await at.created('k/');
    const key = (i: number): Uint8Array => b(`k/${String(i).padStart(4, '0')}`);
    const client = at.client();
    for (let i = 0; i < watches; i++) {
      client.watch({ key: key(i) });
      if (i % 16 === 15) await until('room', () => !client.paused);
    }
    await until('the watches', () => client.responses.length === watches);
    client.stop();
    at.tell(feed, 'k/0000');
    const before = client.revisions.length;
    const revision = ++at.upstream.revision;
    const kv = (i: number) => ({ kv: { key: key(i), modRevision: BigInt(revision) } });
    feed.say(revision, { events: Array.from({ length: watches }, (_, i) => kv(i)) });
    assert.equal(at.hub.stats.lagging, watches);
    const calls = await callsOf(() => client.go());
    assert.equal(client.revisions.length - before, watches);
    return calls;
  });
});

test('feeds end without a look at all others, also while there is a catch-up', async () => {
  await isLinear(200, async (watches) => {
    using at = new ScriptedHub({ historyRevisions: 2 });
    await at.watching('c');
    const main = await at.created('c');
    for (let i = 0; i < 9; i++) at.tell(main, 'c');
    await at.watching('c', { startRevision: 2n });
    assert.equal(at.hub.stats.catchUps, 1);
    at.upstream.creates = true;
    const clients: ScriptedClient[] = [];
    for (let i = 0; i < watches; i++) clients.push(await at.watching(`f${i}`));
    return callsOf(() => {
      for (const client of clients) client.leave();
    });
  });
});

test('watches of different keys are made, cancelled and made again', async () => {
  for (const rangeEnd of ['', 'z'])
    await isLinear(200, async (watches) => {
      using at = new ScriptedHub({ linger: 60_000 });
      at.upstream.creates = true;
      const client = at.client();
      const name = (i: number): string => `d${String(i).padStart(4, '0')}`;
      const end = (i: number): Uint8Array => b(rangeEnd && `${name(i)}${rangeEnd}`);
      const all = async (): Promise<void> => {
        for (let i = 0; i < watches; i++) {
          client.watch({ key: b(name(i)), rangeEnd: end(i), watchId: BigInt(i + 1) });
          if (i % 16 === 15) await until('room', () => !client.paused);
        }
        await until('the watches', () => at.hub.stats.watchers === watches);
      };
      return await callsOf(async () => {
        await all();
        for (let i = 0; i < watches; i++) {
          client.cancel(BigInt(i + 1));
          if (i % 16 === 15) await until('room', () => !client.paused);
        }
        await until('the end', () => at.hub.stats.watchers === 0);
        await all();
        client.leave();
      });
    });
});

test('nothing is made of a put for watches whose client does not read', async () => {
  using at = new ScriptedHub();
  await at.watching('p/', { rangeEnd: b('p0'), prevKv: true });
  const feed = await at.created('p/');
  const client = at.client();
  const watches = 50;
  for (let i = 0; i < watches; i++) client.watch({ key: b('p/'), rangeEnd: b(`p/x${i}`) });
  await until('the watches', () => client.responses.length === watches);
  client.stop();
  const made = Buffer.allocUnsafeSlow;
  let bytes = 0;
  Buffer.allocUnsafeSlow = (size) => {
    bytes += size;
    return made(size);
  };
  try {
    const revision = ++at.upstream.revision;
    const kv = { key: b('p/a'), modRevision: BigInt(revision), value: Buffer.alloc(64 * KIB) };
    feed.say(revision, { events: [{ kv, prevKv: kv }, { kv: { ...kv, key: b('p/z') } }] });
  } finally {
    Buffer.allocUnsafeSlow = made;
  }
  assert.equal(at.hub.stats.lagging, watches - 1);
  // The batch, and what the one gets that finds no room any more.
  assert.ok(bytes < 6 * 64 * KIB, `${bytes} bytes`);
});

test('a line keeps its order whoever leaves, and closes its gaps', () => {
  const line = new UniqueQueue<number>();
  for (let i = 0; i < 1000; i++) assert.ok(line.add(i));
  assert.equal(line.add(7), false);
  for (let i = 1; i < 1000; i += 2) assert.ok(line.delete(i));
  assert.equal(line.delete(1), false);
  for (let i = 1000; i < 2000; i++) {
    line.add(i);
    if (i % 3 !== 0) line.delete(i);
  }
  const left: number[] = [];
  for (let first = line.first; first !== undefined; first = line.first) {
    left.push(first);
    line.delete(first);
  }
  const kept = Array.from({ length: 2000 }, (_, i) => i).filter((i) =>
    i < 1000 ? i % 2 === 0 : i % 3 === 0,
  );
  assert.deepEqual([left, line.size], [kept, 0]);
});
