/** A connection that does not say what it speaks is closed after a bounded time, and counted. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { startProxy } from '../support/proxy.ts';

test('silent connections, and one that stops within the HTTP/2 preface', async () => {
  await using proxy = await startProxy({ endpoints: ['127.0.0.1:1'], flags: ['--first-byte-timeout=1s'] });
  const [host, port] = proxy.address.split(':') as [string, string];
  const sockets = ['', '', 'PRI * HT'].map((text) => {
    const socket = connect(Number(port), host);
    if (text !== '') socket.write(text);
    socket.resume();
    return once(socket, 'close');
  });
  await Promise.all(sockets);
  const metrics = await (await fetch(`${proxy.url}/proxy/metrics`)).text();
  assert.match(metrics, /^etcd_proxy_silent_connections_total 3$/m);
});
