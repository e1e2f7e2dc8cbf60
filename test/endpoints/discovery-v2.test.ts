/** A discovery service of the v2 API that is a test's own: what is asked of it, and when it is asked again. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { Discovery } from '../../src/endpoints/discovery.ts';
import { DiscoveryV2 } from '../../src/endpoints/discovery-v2.ts';
import { until } from '../support/until.ts';
import { namesOf, Observed } from './observed.ts';

const tls = { connect: (): never => assert.fail('no TLS here') };

/** A service that knows members of a cluster of two, and ends each question for changes without an answer. */
async function serve(members: readonly string[]) {
  const users: (string | undefined)[] = [];
  let waits = 0;
  const nodes = () => members.map((value, at) => ({ value, createdIndex: at + 1 }));
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    users.push(request.headers.authorization);
    if (request.url?.includes('wait=true')) {
      waits++;
      request.destroy();
    } else if (request.url === '/token/_config/size') response.end('{"node":{"value":"2"}}');
    else response.end(JSON.stringify({ node: { nodes: nodes() } }));
  };
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  return {
    users,
    get waits() {
      return waits;
    },
    url: (user: string) =>
      new URL(`http://${user}127.0.0.1:${(server.address() as AddressInfo).port}/token/`),
    [Symbol.dispose]: () => server.closeAllConnections(),
  };
}

test('a service that keeps no question open is asked for its members all the same', async () => {
  const members = ['a=http://a:1'];
  using service = await serve(members);
  const observer = new Observed();
  const discovery = new Discovery(new DiscoveryV2(service.url(''), tls), observer);
  const found: string[] = [];
  discovery.start({ onPeers: (peers) => found.push(...namesOf(peers)), onPending: () => {} });
  await until('a question for changes is broken off', () => service.waits > 0);
  members.push('b=http://b:1');
  await until(
    () => `both are found: ${observer.failures.at(-1)}`,
    () => found.join() === 'http://a:1,http://b:1',
  );
  discovery.close();
});

test('the user of the URL is sent as it is meant, well escaped or not', async () => {
  using service = await serve([]);
  for (const [written, meant] of [
    ['u:p@', 'u:p'],
    ['u%40:p%25%3a@', 'u@:p%:'],
    ['é:%zz%@', 'é:%zz%'],
    ['u@', 'u:'],
  ] as const) {
    await new DiscoveryV2(service.url(written), tls).check(AbortSignal.timeout(10_000));
    assert.equal(service.users.at(-1), `Basic ${Buffer.from(meant).toString('base64')}`, written);
  }
  await new DiscoveryV2(service.url(''), tls).check(AbortSignal.timeout(10_000));
  assert.equal(service.users.at(-1), undefined);
});
