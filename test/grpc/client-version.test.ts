/** etcd lives on whatever a client says of its version: some releases end when that is no UTF-8. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { outerEtcds } from '../support/releases.ts';
import { askRaw } from './raw-head.ts';

for (const install of await outerEtcds())
  test(`etcd ${install.version} never gets a version of the API that is no UTF-8`, async () => {
    await using etcd = await startEtcd({ install });
    await using proxy = await startProxy({ endpoints: etcd.endpoints });
    for (const version of ['\xff\xfe', '3.\xc3', 'sept\xc3\xa9', '3.5']) {
      const { fields } = await askRaw(proxy.address, { 'client-api-version': version });
      assert.equal(fields['grpc-status'], '0', JSON.stringify(version));
    }
    assert.ok(etcd.first.pid !== undefined, 'etcd lives');
  });
