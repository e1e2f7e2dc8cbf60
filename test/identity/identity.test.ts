/** The two identities: what a call tells etcd, and who its client is to etcd. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { callIdentityOf, clientIdentityOf } from '../../src/clients/identity.ts';
import { Metadata } from '../../src/rpc/metadata.ts';

const callOf = (fields: readonly string[]) => callIdentityOf(new Metadata(fields), Number.POSITIVE_INFINITY);
const clientOf = (fields: readonly string[]) => clientIdentityOf(new Metadata(fields)).id;

test('a traced call is a call of its own, and its client the same', () => {
  const plain = ['token', 'x'];
  const traced = ['token', 'x', 'traceparent', '00-1'];
  assert.notEqual(callOf(plain), callOf(traced));
  assert.equal(clientOf(plain), clientOf(traced));
  assert.deepEqual(clientIdentityOf(new Metadata(traced)).metadata.fields, plain, 'and asks without it');
});

test('calls of different clients are different calls', () => {
  const name = fc.constantFrom('token', 'authorization', 'hasleader', 'traceparent');
  const value = fc.constantFrom('', 'x', 'true', '","', 'x'.repeat(2000));
  const fields = fc.array(fc.tuple(name, value), { maxLength: 3 }).map((pairs) => pairs.flat());
  fc.assert(
    fc.property(fields, fields, (one, other) => {
      if (clientOf(one) !== clientOf(other)) assert.notEqual(callOf(one), callOf(other));
      const same = one.length === other.length && one.every((text, i) => text === other[i]);
      assert.equal(callOf(one) === callOf(other), same);
    }),
  );
});
