/** What the releases of etcd promise of progress. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { progressIsSafe } from '../../src/etcd/release.ts';

test('releases whose progress responses can be trusted', () => {
  for (const version of ['3.4.31', '3.5.13', '3.6.0', '3.7.3', '3.8.0-alpha.0', '4.0.0'])
    assert.ok(progressIsSafe(version), version);
  for (const version of ['3.4.30', '3.5.12', '3.3.27', '', 'unknown', '2.3.8'])
    assert.ok(!progressIsSafe(version), version);
});
