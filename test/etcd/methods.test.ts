/** The table of methods says what the `.proto` files say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DescMethod } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel } from '@bufbuild/protobuf/wkt';
import { METHOD_SCHEMAS, pathOf } from '../../src/web/schemas.ts';
import { METHODS, methodOf } from '../support/methods.ts';

const KINDS: Readonly<Record<DescMethod['methodKind'], string>> = {
  unary: 'unary',
  server_streaming: 'server_stream',
  client_streaming: 'client_stream',
  bidi_streaming: 'bidi_stream',
};

test('every method of the files is in the table, and no other', () => {
  assert.deepEqual([...METHODS.keys()].sort(), METHOD_SCHEMAS.map(pathOf).sort());
});

for (const descriptor of METHOD_SCHEMAS) {
  test(`${descriptor.parent.name}.${descriptor.name} is as the file says`, () => {
    const { service, name, kind, idempotent } = methodOf(descriptor);
    assert.deepEqual(
      { service, name, kind },
      { service: descriptor.parent.typeName, name: descriptor.name, kind: KINDS[descriptor.methodKind] },
    );
    // Of streams the files say nothing.
    if (kind === 'unary')
      assert.equal(idempotent, descriptor.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS);
  });
}
