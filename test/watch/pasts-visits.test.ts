/** Watches that begin in the past look through what the feed remembers: few of them in one turn, however many come. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { until } from '../support/until.ts';
import { b } from '../support/watch-client.ts';
import type { ScriptedClient } from './scripted-client.ts';
import { ScriptedHub } from './scripted-hub.ts';

const REVISIONS = 5000;
/** Two of them are more than is looked at in one turn. */
const BEGUN_IN_ONE_TURN = 2;
const CLIENTS = 20;
const WATCHES = 10;

const begunOf = (clients: readonly ScriptedClient[]): number =>
  clients.reduce((sum, { responses }) => sum + responses.filter(({ created }) => created).length, 0);

test('very many begin in turns, each with all that is for it', { timeout: 60_000 }, async () => {
  using at = new ScriptedHub();
  await at.watching('m/', { rangeEnd: b('m0') });
  const feed = await at.created('m/');
  const start = at.upstream.revision + 1;
  for (let i = 0; i < REVISIONS; i++) at.tell(feed, `m/${i}`);
  const clients = Array.from({ length: CLIENTS }, () => at.client());
  for (const [c, client] of clients.entries())
    for (let w = 0; w < WATCHES; w++)
      client.watch({ key: b(`m/${c * WATCHES + w}`), startRevision: BigInt(start) });
  let most = 0;
  let gone = 0;
  await until('all have begun', async () => {
    const before = begunOf(clients);
    await turn();
    most = Math.max(most, begunOf(clients) - before);
    // Who leaves while it waits is not waited for.
    if (gone === 0 && begunOf(clients) > CLIENTS) {
      gone = WATCHES - begunOf(clients.slice(-1));
      clients.at(-1)?.leave();
    }
    return begunOf(clients) === CLIENTS * WATCHES - gone;
  });
  assert.ok(most > 0 && most <= BEGUN_IN_ONE_TURN, `${most} have begun in one turn`);
  assert.ok(gone > 0);
  at.tell(feed, 'm/0');
  for (const [c, { keys }] of clients.slice(0, -1).entries()) {
    const expected = Array.from({ length: WATCHES }, (_, w) => `m/${c * WATCHES + w}`);
    assert.deepEqual(keys.toSorted(), [...expected, ...(c === 0 ? ['m/0'] : [])].toSorted());
  }
});
