/** What a token says of its end, and what is none of those that say it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endOfToken } from '../../src/etcd/token.ts';

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const signed = (claims: unknown) => `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}.c2lnbmF0dXJl`;

test('a signed token names its end, in seconds', () => {
  assert.equal(endOfToken(signed({ username: 'root', revision: 7, exp: 1_700_000_000 })), 1_700_000_000_000);
  assert.equal(endOfToken(signed({ exp: 1_700_000_000.5 })), 1_700_000_000_500);
});

test('other tokens, and other bytes, name none', () => {
  for (const token of [
    '',
    'sdGPpZGoLhYTLXaN.9',
    'a.b.c',
    signed({ username: 'root' }),
    signed({ exp: 'soon' }),
    signed(null),
    signed([1]),
    `${signed({ exp: 1 })}.more`,
    `${'x'.repeat(20_000)}.${part({ exp: 1 })}.x`,
  ])
    assert.equal(endOfToken(token), undefined, token.slice(0, 40));
});
