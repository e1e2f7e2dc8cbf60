/** Requests for which nobody needs a token, so what it may cost to read them is bounded for everybody. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameIn } from '../../src/etcd/auth-messages.ts';
import { MOST_FIELDS, TOO_MANY_FIELDS } from '../../src/etcd/bounded-fields.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { Health, healthService } from '../../src/services/health.ts';

test('a check of very many fields is not read; one of fewer is', async () => {
  const [check] = healthService(async () => true);
  assert.ok(check !== undefined && 'unary' in check);
  const ask = (count: number) => {
    const request = Buffer.concat(Array.from({ length: count }, () => Buffer.of(0x10, 1)));
    return check.unary(request, new OwnCall(Health.Check, NO_METADATA, Number.POSITIVE_INFINITY));
  };
  assert.deepEqual(await ask(MOST_FIELDS), Uint8Array.of(0x08, 1));
  await assert.rejects(async () => ask(MOST_FIELDS + 1), TOO_MANY_FIELDS);
});

test('the user is not looked for among very many fields', () => {
  const request = (count: number) =>
    Buffer.concat([Buffer.of(0x0a, 1, 0x75), ...Array.from({ length: count }, () => Buffer.of(0x18, 1))]);
  assert.equal(nameIn(request(MOST_FIELDS - 1)), 'u');
  assert.throws(() => nameIn(request(MOST_FIELDS)), TOO_MANY_FIELDS);
});
