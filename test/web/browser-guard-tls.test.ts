/** The names in the proxy's certificate are names of the proxy, and a page that came over TLS is of no plaintext origin. */
import assert from 'node:assert/strict';
import { request } from 'node:https';
import { hostname } from 'node:os';
import { test } from 'node:test';
import { tempDir } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';

test('a page of a name in the certificate', async () => {
  // A certificate of its own is for this machine's name when the proxy listens on every address.
  const flags = ['--auto-tls', `--data-dir=${await tempDir('guard')}`, '--listen-addr=0.0.0.0:0'];
  await using proxy = await startProxy({ endpoints: ['127.0.0.1:1'], flags });
  const port = Number(proxy.address.split(':').at(-1));
  const ask = (host: string, origin: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const headers = { host, origin };
      const options = { host: '127.0.0.1', port, path: '/proxy/nothing', headers, rejectUnauthorized: false };
      request(options, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      })
        .on('error', reject)
        .end();
    });
  const own = `${hostname().toLowerCase()}:${port}`;
  assert.equal(await ask(own, `https://${own}`), 404);
  assert.equal(await ask(own, `http://${own}`), 403);
  assert.equal(await ask(`evil.example:${port}`, `https://evil.example:${port}`), 421);
});
