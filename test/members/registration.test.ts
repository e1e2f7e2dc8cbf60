/**
 * Registration against a real etcd, beside a real `etcd grpc-proxy`: the bytes, the list that each tells, and what becomes of
 * an entry whose proxy stops, dies, or loses lease or key.
 */
import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { after, before, describe, test } from 'node:test';
import { start as startProgram } from '../clients/program/run.ts';
import { type EtcdCluster, etcdctl, startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { takePort } from '../support/ports.ts';
import { type RunningProcess, startProcess } from '../support/process.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { addressesAt, entriesIn, membersAt } from './place.ts';

const TTL = 5;
/** Longer than any proxy takes to stop by itself, on a busy machine too. */
const STOP_MS = 20_000;

let etcd: EtcdCluster;
before(async () => {
  etcd = await startEtcd();
});
after(() => etcd?.stop());

function registered(prefix: string, ...flags: string[]): Promise<RunningProxy> {
  return startProxy({
    endpoints: etcd.endpoints,
    flags: [`--resolver-prefix=${prefix}`, `--resolver-ttl=${TTL}`, ...flags],
  });
}

/** Waits until a proxy tells of these and no others. */
async function tells(proxy: RunningProxy, addresses: readonly string[]): Promise<void> {
  const wanted = addresses.toSorted();
  let told: string[] = [];
  await until(
    () => `it tells of ${wanted}, not of ${told}`,
    async () => {
      told = (await addressesAt(proxy.address)).toSorted();
      return told.join() === wanted.join();
    },
  );
}

/** Starts the incumbent, and waits until it is registered. */
async function startIncumbent(prefix: string, address: string): Promise<[RunningProcess, string]> {
  const listen = `127.0.0.1:${await takePort()}`;
  const running = await startProcess(etcd.install.etcd, [
    ...['grpc-proxy', 'start', `--endpoints=${etcd.first.address}`, `--listen-addr=${listen}`],
    ...[`--advertise-client-url=${address}`, `--resolver-prefix=${prefix}`, `--resolver-ttl=${TTL}`],
  ]);
  await running.waitForLine(/registered session with lease/, 20_000);
  return [running, listen];
}

describe('an entry in etcd', () => {
  const addresses = ['127.0.0.1:23790', 'http://bücher.example:1/<a>&"b"\u2028', 'unix:///tmp/a b'];
  for (const [i, address] of addresses.entries())
    test(`of ${address} is what the incumbent writes, to the byte`, async () => {
      const [theirs] = await startIncumbent(`/theirs${i}/`, address);
      await using _ = theirs;
      await using proxy = await registered('/ours/', `--advertise-client-url=${address}`);
      const line = await proxy.process.waitForLine(/registered session with lease/, 20_000);
      const { addr, 'lease-ttl': ttl } = JSON.parse(line) as Record<string, unknown>;
      assert.deepEqual([addr, ttl], [address, TTL]);
      const [[ours], [incumbents]] = [await entriesIn(etcd, '/ours/'), await entriesIn(etcd, `/theirs${i}/`)];
      assert.ok(ours && incumbents);
      assert.equal(ours.key, `/ours//${address}`);
      assert.equal(ours.key.replace('/ours/', `/theirs${i}/`), incumbents.key);
      assert.equal(ours.value, incumbents.value);
      assert.notEqual(ours.lease, '0');
    });

  test('is inside the namespace of the proxy, as with the incumbent', async () => {
    await using proxy = await registered('p', '--namespace=team/', '--advertise-client-url=a:1');
    await tells(proxy, ['a:1']);
    await until('it is there', async () => (await entriesIn(etcd, 'team/'))[0]?.key === 'team/p/a:1');
    assert.deepEqual(await entriesIn(etcd, 'p/'), []);
  });

  test('is the address that the proxy listens on, without another one', async () => {
    await using proxy = await registered('here');
    await until(
      'it is there',
      async () => (await entriesIn(etcd, 'here/'))[0]?.key === `here/${proxy.address}`,
    );
  });
});

describe('several proxies', () => {
  test('and an incumbent find each other; one that stops is gone at once, one that is killed with its lease', async () => {
    const prefix = '___grpc_proxy_endpoint';
    const [theirs, listen] = await startIncumbent(prefix, 'incumbent:1');
    await using _ = theirs;
    await using held = new AsyncDisposableStack();
    const [one, two, three] = [
      held.use(await registered(prefix)),
      held.use(await registered(prefix)),
      held.use(await registered(prefix)),
    ];
    const [a, b, c] = [one.address, two.address, three.address];
    for (const proxy of [one, two, three]) await tells(proxy, [a, b, c, 'incumbent:1']);
    const { header, members } = await membersAt(a);
    const real = await membersAt(etcd.first.address);
    assert.equal(header?.clusterId, real.header?.clusterId);
    assert.deepEqual(
      members.map(({ ID, name, peerURLs, isLearner }) => [ID, name, peerURLs, isLearner]),
      members.map(() => [0n, hostname(), [], false]),
    );
    await until('the incumbent tells of ours', async () => (await addressesAt(listen)).includes(c));
    assert.equal(await metric(one.url, 'etcd_proxy_registered'), 1);
    assert.equal(await metric(one.url, 'etcd_proxy_registered_proxies'), 4);

    const table = await etcdctl(etcd.install, [a], ['member', 'list', '-w', 'table']);
    for (const address of [a, b, c]) assert.match(table.stdout, new RegExp(` 0 .* started .*${address} `));
    const json = await etcdctl(etcd.install, [b], ['member', 'list', '-w', 'json']);
    assert.equal(JSON.parse(json.stdout).members.length, 4);
    const fields = await etcdctl(etcd.install, [b], ['member', 'list', '-w', 'fields']);
    assert.equal(fields.code, 0, 'the incumbent, without a header, makes etcdctl panic here');

    const lease = (await entriesIn(etcd, `${prefix}/${b}`))[0]?.lease ?? '';
    assert.deepEqual(await two.stop(STOP_MS), { code: 0, signal: null });
    assert.deepEqual(await entriesIn(etcd, `${prefix}/${b}`), [], 'gone before it has ended');
    assert.match((await etcd.etcdctl(['lease', 'timetolive', lease])).stdout, /already expired/);
    assert.match(two.process.stderr, /"msg":"deregistered"/);
    await tells(one, [a, c, 'incumbent:1']);

    const killed = (await entriesIn(etcd, `${prefix}/${c}`))[0]?.lease ?? '';
    const granted = (await etcd.etcdctl(['lease', 'timetolive', killed])).stdout;
    assert.match(granted, new RegExp(`granted with TTL\\(${TTL}s\\)`));
    await three.process.stop('SIGKILL', 5000);
    const died = performance.now();
    await until('its lease is over', async () =>
      /already expired/.test((await etcd.etcdctl(['lease', 'timetolive', killed])).stdout),
    );
    await tells(one, [a, 'incumbent:1']);
    console.log(
      `      killed, and gone after ${((performance.now() - died) / 1000).toFixed(1)} s of TTL ${TTL} s`,
    );
  });

  test("do as the incumbent's document says, by its own commands", async () => {
    const ports = new Map<string, number>();
    for (const port of ['2379', '23790', '23791', '23792']) ports.set(port, await takePort());
    ports.set('2379', Number(etcd.first.address.split(':')[1]));
    const mapped = (text: string): string =>
      text.replace(/(?<=:)(23792|23791|23790|2379)\b/g, (port) => `${ports.get(port)}`);
    const begin =
      'grpc-proxy start --endpoints=localhost:2379 --listen-addr=127.0.0.1:PORT --advertise-client-url=127.0.0.1:PORT';
    const named = `${begin} --resolver-prefix=___documented --resolver-ttl=60`;
    await using held = new AsyncDisposableStack();
    for (const [command, port] of [
      [named, 23790],
      [named, 23791],
      [begin, 23792],
    ] as const) {
      const proxy = held.use(await startProgram(mapped(command.replaceAll('PORT', `${port}`)).split(' ')));
      await proxy.waitForLine(
        command === named ? /registered session with lease/ : /started gRPC proxy/,
        20_000,
      );
    }
    const list = async (endpoints: string): Promise<string[]> => {
      const listing = ['member', 'list', '--write-out', 'table'];
      const { stdout } = await etcdctl(etcd.install, mapped(endpoints), listing);
      const rows = stdout.split('\n').filter((row) => row.includes('started'));
      return rows
        .map((row) =>
          row
            .split(/[|│]/)
            .map((cell) => cell.trim())
            .slice(1, -2)
            .join(),
        )
        .toSorted();
    };
    const row = (port: number): string => `0,started,${hostname()},,127.0.0.1:${ports.get(`${port}`)}`;
    const both = [row(23790), row(23791)].toSorted();
    await until('both are listed', async () => (await list('http://localhost:23790')).join() === both.join());
    assert.deepEqual(await list('http://localhost:23792'), [row(23792)]);
  });

  test('etcdctl asks each of the list', async () => {
    await using one = await registered('each');
    await using two = await registered('each');
    await tells(one, [one.address, two.address]);
    const { stdout, stderr } = await etcdctl(
      etcd.install,
      [one.address],
      ['endpoint', 'status', '--cluster', '-w', 'json'],
    );
    const asked = (JSON.parse(stdout) as { Endpoint: string }[]).map(({ Endpoint }) => Endpoint);
    assert.deepEqual(asked.toSorted(), [one.address, two.address].toSorted(), stderr);
  });

  test('what is no proxy is left out, and one line says so', async () => {
    const prefix = 'odd';
    const bad = [
      '',
      'no json',
      '"text"',
      'null',
      '{"Addr":""}',
      '{"Addr":"b:1"}',
      '{"Addr":"b:1","Metadata":{"name":"x"}}',
    ];
    bad.push(
      '{"Addr":"b:1","Metadata":"no json"}',
      '{"Addr":1,"Metadata":"{}"}',
      `{"Addr":"${'a'.repeat(20_000)}"}`,
    );
    for (const [i, value] of bad.entries()) await etcd.etcdctl(['put', '--', `${prefix}/bad${i}`, value]);
    await using proxy = await registered(prefix, '--advertise-client-url=a:1');
    await tells(proxy, ['a:1']);
    const skipped = (): Promise<number> => metric(proxy.url, 'etcd_proxy_registry_skipped_total');
    // Its own entry is told of before the list has been read.
    await until('all of them are read', async () => (await skipped()) >= bad.length);
    assert.equal(await skipped(), bad.length);
    assert.equal(proxy.stderr.filter((line) => line.includes('is no proxy')).length, 1);
    await etcd.etcdctl([
      'put',
      `${prefix}/bad3`,
      '{"Op":0,"Addr":"c:1","Metadata":"{\\"name\\":\\"Ж\\"}","more":1}',
    ]);
    await tells(proxy, ['a:1', 'c:1']);
    assert.ok((await membersAt(proxy.address)).members.some(({ name }) => name === 'Ж'));
  });
});

describe('a registration that is lost comes back', () => {
  const losses = {
    'its lease is revoked': (lease: string) => ['lease', 'revoke', lease],
    'its key is deleted': () => ['del', 'back/', '--prefix'],
  };
  for (const [what, command] of Object.entries(losses))
    test(what, async () => {
      await using proxy = await registered('back', '--advertise-client-url=a:1');
      await tells(proxy, ['a:1']);
      const first = await until('it is there', async () => (await entriesIn(etcd, 'back/'))[0]);
      const before = await metric(proxy.url, 'etcd_proxy_registrations_total');
      assert.equal((await etcd.etcdctl(command(first.lease))).code, 0);
      const again = await until('it is there again', async () => {
        const [entry] = await entriesIn(etcd, 'back/');
        return (await metric(proxy.url, 'etcd_proxy_registrations_total')) > before && entry;
      });
      assert.equal(again.value, first.value);
      assert.equal(again.lease === first.lease, what === 'its key is deleted');
      assert.doesNotMatch(proxy.process.stderr, /cannot register/, 'at once, and nothing has failed');
      // It stays: longer than any lease without heartbeats.
      const lease = again.lease;
      let renewed = 0;
      let left = TTL;
      await until('it is kept alive', async () => {
        const { stdout } = await etcd.etcdctl(['lease', 'timetolive', lease]);
        const now = Number(/remaining\((-?\d+)s\)/.exec(stdout)?.[1] ?? -1);
        assert.ok(now >= 0, stdout);
        if (now > left) renewed++;
        left = now;
        return renewed >= 2;
      });
    });
});
