/** The two identities: what a call tells etcd, and who its client is to etcd. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  callIdentityOf,
  clientIdentityOf,
  demandingIdentityOf,
  demandsLeader,
} from '../../src/clients/identity.ts';
import { Metadata } from '../../src/rpc/metadata.ts';

const callOf = (fields: readonly string[]) => callIdentityOf(new Metadata(fields), Number.POSITIVE_INFINITY);
const clientOf = (fields: readonly string[]) => clientIdentityOf(new Metadata(fields)).id;
const own = ['client-api-version', '3.7'];

test('a traced call is the same call, and its client the same', () => {
  const plain = ['token', 'x'];
  const traced = ['traceparent', '00-1', 'token', 'x', 'client-api-version', '3.5'];
  assert.equal(callOf(plain), callOf(traced));
  assert.equal(clientOf(plain), clientOf(traced));
  assert.deepEqual(clientIdentityOf(new Metadata(traced)).metadata.fields, [...plain, ...own]);
});

test('a client that demands a leader is the same client, in other calls and questions', () => {
  for (const plain of [[], ['token', 'x'], ['authorization', 'x'.repeat(2000)]]) {
    const demanding = new Metadata(['hasleader', 'true', ...plain]);
    assert.notEqual(callOf(plain), callOf(demanding.fields));
    const client = clientIdentityOf(demanding);
    assert.equal(client.id, clientOf(plain));
    assert.deepEqual(client.metadata.fields, [...plain, ...own]);
    const question = demandingIdentityOf(demanding);
    assert.notEqual(question.id, client.id);
    assert.equal(question.hasToken, client.hasToken);
    assert.deepEqual(question.metadata.fields, [...plain, 'hasleader', 'true', ...own]);
  }
});

test('a leader is demanded by what etcd heeds: the first value, if it is `true`', () => {
  for (const [values, demanded] of [
    [[], false],
    [['true'], true],
    [['true', 'false'], true],
    [['false', 'true'], false],
    [['TRUE'], false],
    [[''], false],
  ] as const) {
    const metadata = new Metadata(values.flatMap((value) => ['hasleader', value]));
    assert.equal(demandsLeader(metadata), demanded, values.join());
  }
});

test('calls of different clients are different calls', () => {
  const name = fc.constantFrom('token', 'authorization', 'hasleader', 'traceparent', 'x-b3-spanid', 'tenant');
  const value = fc.constantFrom('', 'x', 'true', '","', 'x'.repeat(2000));
  const fields = fc.array(fc.tuple(name, value), { maxLength: 3 }).map((pairs) => pairs.flat());
  const isLabel = (at: readonly string[], i: number) => /^(trace|x-b3)/.test(at[i & ~1] as string);
  const said = (of: readonly string[]) => {
    const labels = of.filter((_, i) => isLabel(of, i)).join('');
    return labels.length > 2048 ? of : of.filter((_, i) => !isLabel(of, i));
  };
  fc.assert(
    fc.property(fields, fields, (one, other) => {
      if (clientOf(one) !== clientOf(other)) assert.notEqual(callOf(one), callOf(other));
      const [a, b] = [said(one), said(other)];
      const same = a.length === b.length && a.every((text, i) => text === b[i]);
      assert.equal(callOf(one) === callOf(other), same);
      const tokens = (of: readonly string[]) =>
        of.filter((_, i) => /^(token|auth)/.test(of[i & ~1] as string));
      assert.equal(clientOf(one) === clientOf(other), tokens(one).join('\n') === tokens(other).join('\n'));
    }),
  );
});
