/** Authenticate for the proxy's own user: an etcd that does not answer keeps nobody waiting for good. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authenticate } from '../../src/clients/authenticate.ts';
import { Login } from '../../src/clients/login.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { HeldUpstream, settle } from '../reads/held-upstream.ts';

test('an etcd that does not answer: given up in time', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const upstream = new HeldUpstream();
  const login = new Login(() => authenticate(upstream, { name: 'mirror', password: 'secret' }));
  let error: unknown;
  login
    .run(() => Promise.reject(new RpcError(Code.UNAUTHENTICATED, 'etcdserver: invalid auth token')))
    .catch((thrown: unknown) => {
      error = thrown;
    });
  await settle();
  t.mock.timers.tick(10_000);
  await settle();
  assert.equal(upstream.at(0).cancelled, true);
  assert.ok(error instanceof RpcError);
  // Nobody has cancelled anything: whoever reads the reason in the log must not look for who did.
  assert.equal(error.code, Code.DEADLINE_EXCEEDED);
  assert.equal(error.message, 'etcd-connect-proxy: no answer of etcd within 10 s');
});
