/** etcd's JSON through the proxy is what etcd's own gateway answers: the same requests to both. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { availableEtcds, type EtcdInstall } from '../support/etcd.ts';
import { LONG } from '../support/releases.ts';
import { CASES } from './gateway/cases.ts';
import { CLIENT_CASES } from './gateway/client-cases.ts';
import { type GatewayRequest, Sides } from './gateway/sides.ts';

/** The newest release, and 3.5; all since 3.5 if there is time. The gateway of 3.4 writes other errors. */
async function releases(): Promise<EtcdInstall[]> {
  const since = (await availableEtcds()).filter(({ minor }) => minor >= 5);
  return LONG ? since : [since[0], since.at(-1)].filter((etcd) => etcd !== undefined);
}

/** So many bodies are damaged at random. */
const DAMAGED = LONG ? 3000 : 150;

/** Reads alone, so that it does not matter what becomes of them. */
const READS = CASES.filter(
  ({ path, body }) => path === 'kv/range' && typeof body === 'string' && body.length < 300,
);

/** What is put into bodies: what JSON is made of, and what it is not. */
const PIECES = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ',',
  ':',
  '\\',
  '0',
  '-',
  '.',
  'e',
  '=',
  'A',
  ' ',
  '\n',
  '\0',
  'é',
  'null',
];

/** A body with something cut out of it, put into it, or doubled. */
function damaged(seed: number): GatewayRequest {
  let state = seed;
  const pick = (most: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state >>> 8) % most;
  };
  const { path, body } = READS[pick(READS.length)] as GatewayRequest;
  let text = body as string;
  for (let count = 1 + pick(3); count > 0; count--) {
    const at = pick(text.length + 1);
    const rest = text.slice(at + pick(4));
    text = text.slice(0, at) + (pick(2) === 0 ? PIECES[pick(PIECES.length)] : '') + rest;
  }
  return { path, body: text };
}

for (const install of await releases()) {
  describe(`etcd ${install.version}`, () => {
    test(`${CLIENT_CASES.length + CASES.length} requests`, async () => {
      await using sides = await Sides.start(install);
      const wrong: string[] = [];
      for (const { client, ...request } of CLIENT_CASES) {
        await sides.compare(request).catch((error: Error) => wrong.push(`of ${client}: ${error.message}`));
      }
      for (const request of CASES) {
        await sides.compare(request).catch((error: Error) => wrong.push(error.message));
      }
      assert.ok(CASES.length >= 200);
      // What is left of the lock has a key that no two stores have in common.
      await sides.compare({ path: 'kv/deleterange', body: '{"key":"Lw==","range_end":"MA=="}' });
      const first = Number(process.env.JSON_SEED ?? Math.floor(Math.random() * 2 ** 30));
      for (let seed = first; seed < first + DAMAGED; seed++) {
        await sides.compare(damaged(seed)).catch((error: Error) => wrong.push(error.message));
      }
      assert.deepEqual(wrong, [], `JSON_SEED=${first}\n${wrong.join('\n\n')}`);
    });
  });
}
