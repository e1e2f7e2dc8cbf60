/**
 * Stores whose past is not what a feed remembers: set back to a backup, replaced by another cluster, compacted. Whoever
 * begins to watch sees what this store has, and not what another once had.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { until } from '../support/until.ts';
import { b, span } from '../support/watch-client.ts';
import type { ScriptedClient } from './scripted-client.ts';
import { ScriptedHub } from './scripted-hub.ts';
import type { ScriptedWatch } from './scripted-upstream.ts';

let at: ScriptedHub;

beforeEach(() => {
  at = new ScriptedHub();
});
afterEach(() => at[Symbol.dispose]());

/** A watched key with events up to a revision, in the history of its feed. */
async function known(
  key: string,
  revision: number,
): Promise<[client: ScriptedClient, stream: ScriptedWatch]> {
  const client = await at.watching(key);
  const stream = await at.created(key);
  while (at.upstream.revision < revision) at.tell(stream, key);
  return [client, stream];
}

const lose = (stream: ScriptedWatch): void =>
  stream.end(new RpcError(Code.UNAVAILABLE, 'the connection broke'));

/** etcd tells of puts of a key. */
function tellAll(stream: ScriptedWatch, key: string, revisions: readonly number[]): void {
  const events = revisions.map((revision) => ({ kv: { key: b(key), modRevision: BigInt(revision) } }));
  stream.say(at.upstream.revision, { events });
}

describe('a store that was set back', () => {
  test('serves new watches from its own past while the feed has no stream', async () => {
    const [, stream] = await known('k', 11);
    at.upstream.revision = 6;
    lose(stream);
    const past = await at.watching('k', { startRevision: 5n });
    const now = await at.watching('k');
    assert.deepEqual([now.revisions, past.revisions], [[], []]);
    const own = await at.created('k', 5);
    at.upstream.revision = 9;
    tellAll(own, 'k', span(5, 9));
    assert.deepEqual([now.revisions, past.revisions], [span(7, 9), span(5, 9)]);
  });

  test('serves new watches from its own past when the feed has a stream again, others behind what they have had', async () => {
    const [old, stream] = await known('k', 11);
    at.upstream.revision = 6;
    lose(stream);
    await until('another stream', () => at.upstream.watches.length === 2);
    const reopened = await at.created('k');
    const now = await at.watching('k');
    await until('a watch of its own', () => at.upstream.watches.length === 3);
    const own = await at.created('k');
    at.upstream.revision = 9;
    tellAll(own, 'k', span(7, 9));
    tellAll(reopened, 'k', span(7, 9));
    assert.deepEqual([now.revisions, old.revisions], [span(7, 9), span(2, 11)]);
    // From there on where the two meet, one watch is enough.
    at.upstream.revision = 12;
    tellAll(reopened, 'k', span(10, 12));
    tellAll(own, 'k', span(10, 12));
    assert.equal(own.cancelled, true);
    at.tell(reopened, 'k');
    assert.deepEqual([now.revisions, old.revisions], [span(7, 13), span(2, 13)]);
  });

  test('does not refuse as compacted what only its lost past had compacted', async () => {
    const [gone] = await known('k', 20);
    gone.leave();
    at.upstream.compacted = 15;
    const refused = await at.watching('k', { startRevision: 5n });
    (await at.opened('k', 5)).say(0, { canceled: true, compactRevision: 15n });
    await until('the refusal', () => refused.responses.length === 2);
    refused.leave();
    at.upstream.revision = 21;
    at.upstream.compacted = 0;
    const client = await at.watching('k', { startRevision: 5n });
    const again = await at.created('k', 5);
    tellAll(again, 'k', span(5, 21));
    assert.deepEqual(client.revisions, span(5, 21));
  });
});

describe('another cluster', () => {
  test('serves new watches while the feed of the one before has no stream yet', async () => {
    const [, stream] = await known('k', 11);
    at.upstream.cluster = 2n;
    at.upstream.revision = 20;
    lose(stream);
    const client = await at.watching('k', { startRevision: 8n });
    assert.deepEqual(client.revisions, []);
    const own = await at.created('k', 8);
    tellAll(own, 'k', [9, 15]);
    assert.deepEqual(client.revisions, [9, 15]);
  });
});

describe('a compaction', () => {
  test('refuses a start below it also where the feed has been idle since before it', async () => {
    await known('k', 3);
    at.upstream.revision = 100;
    at.upstream.compacted = 90;
    const client = await at.watching('k', { startRevision: 50n });
    const own = await at.created('k', 50);
    own.say(0, { canceled: true, compactRevision: 90n });
    assert.deepEqual(
      client.responses.map(({ created, canceled, compactRevision }) => [created, canceled, compactRevision]),
      [
        [true, false, 0n],
        [false, true, 90n],
      ],
    );
  });

  test('while the stream is lost makes a watch of the far future know no more than etcd', async () => {
    const client = await at.watching('k', { startRevision: 1_000_000n, progressNotify: true });
    const stream = await at.created('k');
    at.upstream.revision = 52;
    lose(stream);
    await until('another stream', () => at.upstream.watches.length === 2);
    await at.created('k');
    const behind = await at.created('k', 2);
    behind.say(0, { canceled: true, compactRevision: 40n });
    await until('a new watch', () => at.upstream.watches.length === 4);
    const again = await at.created('k');
    again.say(52, {});
    await until('a question', () => again.stream.questions > 0);
    again.stream.answer(52);
    client.progress();
    await sleep(50); // nothing may happen
    assert.deepEqual([client.responses.length, at.seen.revision], [1, 1]);
    assert.equal(again.start, 0);
  });
});
