/** SRV records that come, change, go, and cannot be had: by a name server of the test, over UDP. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { SrvRecords } from '../../src/endpoints/srv-records.ts';
import '../support/name-server-preload.mjs';
import { NameServer } from '../support/name-server.ts';
import { until } from '../support/until.ts';
import { namesOf, Observed } from './observed.ts';

const SECURE = '_etcd-client-ssl._tcp.example.test';
const PLAIN = '_etcd-client._tcp.example.test';

describe('SRV records', async () => {
  const server = await NameServer.open();
  process.env.TEST_NAME_SERVER = server.address;
  after(() => server[Symbol.asyncDispose]());

  /** Looks all the time. */
  function look(options: { serviceName?: string; insecure?: boolean } = {}) {
    const observed = new Observed();
    const { serviceName = '', insecure = false } = options;
    const source = new SrvRecords({
      domain: 'example.test',
      serviceName,
      insecure,
      interval: 10,
      observer: observed,
    });
    let changes = 0;
    source.start(() => changes++);
    const sees = (...names: string[]) =>
      until(
        () => `${namesOf(source.endpoints)} is ${names}`,
        () => namesOf(source.endpoints).join() === names.join(),
      );
    return {
      source,
      observed,
      sees,
      get changes() {
        return changes;
      },
      [Symbol.dispose]: () => source.close(),
    };
  }

  test('are followed, and stay when they are gone, when the server fails, and when it says nothing', async () => {
    server.answers.set(SECURE, [{ host: 'm0.example.test', port: 2379 }]);
    server.answers.set(PLAIN, 'nxdomain');
    using looking = look({ insecure: true });
    await looking.sees('https://m0.example.test:2379');
    assert.equal(looking.changes, 1);
    server.answers.set(SECURE, [
      { host: 'm1.example.test', port: 1 },
      { host: 'm0.example.test', port: 2379 },
    ]);
    server.answers.set(PLAIN, [{ host: 'p.example.test', port: 7 }]);
    await looking.sees(
      'http://p.example.test:7',
      'https://m0.example.test:2379',
      'https://m1.example.test:1',
    );
    // One of the two fails: what it had stays, and the other is followed.
    server.answers.set(SECURE, 'servfail');
    server.answers.set(PLAIN, [{ host: 'p.example.test', port: 8 }]);
    await looking.sees(
      'http://p.example.test:8',
      'https://m0.example.test:2379',
      'https://m1.example.test:1',
    );
    // A look may have begun before the change of the one, and have asked for the other behind it.
    await until('the failure is told', () =>
      /^_etcd-client-ssl\._tcp\.example\.test: ESERVFAIL$/.test(looking.observed.failures.at(-1) ?? ''),
    );
    // Both are gone: a good list is not replaced by nothing.
    for (const answer of ['nxdomain', [], 'servfail'] as const) {
      server.answers.set(SECURE, answer);
      server.answers.set(PLAIN, answer);
      const failures = looking.observed.failures.length;
      await until('two more looks failed', () => looking.observed.failures.length > failures + 1);
      assert.equal(looking.source.endpoints.length, 3, JSON.stringify(answer));
    }
    server.answers.set(SECURE, [{ host: 'm3.example.test', port: 3 }]);
    server.answers.set(PLAIN, []);
    await looking.sees('https://m3.example.test:3');
  });

  test('without TLS count with --insecure-discovery only', async () => {
    // A service of its own: questions of looks that are over may still come in.
    const [secure, plain] = [
      '_etcd-client-ssl-green._tcp.example.test',
      '_etcd-client-green._tcp.example.test',
    ];
    server.answers.set(secure, 'nxdomain');
    server.answers.set(plain, [{ host: 'p.example.test', port: 7 }]);
    using looking = look({ serviceName: 'green' });
    await until('it has looked', () => looking.source.looked);
    assert.deepEqual(looking.source.endpoints, []);
    assert.equal(looking.changes, 1, 'who waits for the first look is told of its end');
    assert.match(
      looking.observed.failures[0] ?? '',
      /no SRV records _etcd-client-ssl\S+; .*--insecure-discovery/,
    );
    assert.ok(server.asked.includes(secure) && !server.asked.includes(plain));
    server.answers.set(secure, [{ host: 'm0.example.test', port: 1 }]);
    await looking.sees('https://m0.example.test:1');
  });

  test('have a suffix of the service, and no target that is none', async () => {
    server.answers.set('_etcd-client-ssl-blue._tcp.example.test', [
      { host: '', port: 0 },
      { host: '', port: 5 },
      { host: 'no host', port: 5 },
      { host: 'm9.example.test', port: 9 },
    ]);
    using looking = look({ serviceName: 'blue' });
    await looking.sees('https://m9.example.test:9');
  });

  test('a look is over when the source is closed', async () => {
    server.answers.set(SECURE, 'silent');
    const asked = server.asked.length;
    const looking = look();
    await until('it asks', () => server.asked.length > asked);
    looking.source.close();
    server.answers.set(SECURE, [{ host: 'm0.example.test', port: 1 }]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(looking.changes, 0);
    assert.deepEqual(looking.observed.failures, []);
  });
});
