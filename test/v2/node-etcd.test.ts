/**
 * `node-etcd`, a client of etcd's v2 API as it is on npm, through the proxy and directly: the same. Needs npm's registry.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { atLeast, availableEtcds, type EtcdCluster, type EtcdInstall, startEtcd } from '../support/etcd.ts';
import { returnPort, takePort } from '../support/ports.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { called, codeOf, type NodeEtcd, nodeEtcd, type V2Answer } from './node-etcd-client.ts';

const installed = await nodeEtcd();
const skip = 'missing' in installed && installed.missing;

function clientOf(url: string): NodeEtcd {
  if ('missing' in installed) throw new Error(installed.missing);
  return new installed.Etcd(url);
}

const installs = (await availableEtcds()).filter((install: EtcdInstall) => !atLeast(install, 3, 6));

/** What a client sees of keys; `folder` is its own. */
async function keys(etcd: NodeEtcd, folder: string): Promise<void> {
  const key = `${folder}/key`;
  const set = await called((done) => etcd.set(key, 'é €', {}, done));
  assert.deepEqual([set.action, set.node.key, set.node.value], ['set', `/${key}`, 'é €']);
  const got = await called((done) => etcd.get(key, {}, done));
  assert.deepEqual([got.action, got.node], ['get', set.node]);
  const swapped = await called((done) => etcd.compareAndSwap(key, 'two', 'é €', {}, done));
  assert.deepEqual([swapped.action, swapped.node.value], ['compareAndSwap', 'two']);
  assert.deepEqual(swapped.prevNode, set.node);
  const deleted = await called((done) => etcd.compareAndDelete(key, 'two', {}, done));
  assert.deepEqual([deleted.action, deleted.prevNode?.value], ['compareAndDelete', 'two']);
}

async function queue(etcd: NodeEtcd, folder: string): Promise<void> {
  const jobs = ['one', 'two', 'three'];
  for (const job of jobs) {
    const { action } = await called((done) => etcd.create(`${folder}/queue`, job, {}, done));
    assert.equal(action, 'create');
  }
  const { node } = await called((done) => etcd.get(`${folder}/queue`, { sorted: true }, done));
  assert.deepEqual(
    node.nodes?.map(({ value }) => value),
    jobs,
  );
}

async function lifetimes(etcd: NodeEtcd, folder: string): Promise<void> {
  const long = await called((done) => etcd.set(`${folder}/long`, 'x', { ttl: 100 }, done));
  // What is left of it when etcd answers, in seconds.
  const { ttl = 0 } = long.node;
  assert.ok(ttl > 60 && ttl <= 100, String(ttl));
  const { node } = await called((done) => etcd.set(`${folder}/short`, 'x', { ttl: 1 }, done));
  const options = { wait: true, waitIndex: node.modifiedIndex + 1 };
  const { action, prevNode } = await called((done) => etcd.get(`${folder}/short`, options, done));
  assert.deepEqual([action, prevNode?.value], ['expire', 'x']);
}

async function errors(etcd: NodeEtcd, folder: string): Promise<void> {
  await called((done) => etcd.set(`${folder}/dir/a`, '1', {}, done));
  const codes = {
    none: await codeOf((done) => etcd.get(`${folder}/none`, {}, done)),
    compared: await codeOf((done) => etcd.compareAndSwap(`${folder}/dir/a`, '2', 'x', {}, done)),
    notFile: await codeOf((done) => etcd.del(`${folder}/dir`, {}, done)),
    notDir: await codeOf((done) => etcd.set(`${folder}/dir/a/b`, '1', {}, done)),
    exists: await codeOf((done) => etcd.set(`${folder}/dir/a`, '1', { prevExist: false }, done)),
    root: await codeOf((done) => etcd.del('', { recursive: true }, done)),
    notEmpty: await codeOf((done) => etcd.rmdir(`${folder}/dir`, {}, done)),
    index: await codeOf((done) => etcd.set(`${folder}/dir/a`, '1', { prevIndex: 'x' }, done)),
    ttl: await codeOf((done) => etcd.set(`${folder}/dir/a`, '1', { ttl: 'x' }, done)),
  };
  assert.deepEqual(codes, {
    none: 100,
    compared: 101,
    notFile: 102,
    notDir: 104,
    exists: 105,
    root: 107,
    notEmpty: 108,
    index: 203,
    ttl: 202,
  });
}

async function directories(etcd: NodeEtcd, folder: string): Promise<void> {
  await called((done) => etcd.mkdir(`${folder}/tree`, {}, done));
  for (const name of ['a', 'b/c']) await called((done) => etcd.set(`${folder}/tree/${name}`, '1', {}, done));
  const { action, prevNode } = await called((done) => etcd.del(`${folder}/tree`, { recursive: true }, done));
  assert.deepEqual([action, prevNode?.dir], ['delete', true]);
  assert.equal(await codeOf((done) => etcd.get(`${folder}/tree/b/c`, {}, done)), 100);
}

/** A watcher of a key, and what it has told. */
class Watched implements Disposable {
  readonly values: (string | undefined)[] = [];
  private readonly watcher;

  constructor(etcd: NodeEtcd, key: string, index: number) {
    this.watcher = etcd
      // Without this the client tries refused connections again by itself, up to 25 s later, and the watcher tells nothing of it.
      .watcher(key, index, { maxRetries: 0 })
      .on('change', ({ node }: V2Answer) => this.values.push(node.value));
  }

  async told(count: number): Promise<void> {
    await until(`${count} events`, () => this.values.length === count);
  }

  [Symbol.dispose](): void {
    this.watcher.stop();
  }
}

/** Events before, while and after what the watcher is connected to goes away and comes back. */
async function watches(etcd: NodeEtcd, key: string, restart: () => Promise<void>): Promise<void> {
  const put = (value: string) => called((done) => etcd.set(key, value, {}, done));
  const { node } = await put('before');
  using watched = new Watched(etcd, key, node.modifiedIndex);
  // One after the other without a pause: the client asks for each of them by its index.
  for (const value of ['one', 'two', 'three']) await put(value);
  await watched.told(4);
  await restart();
  const get = () => called((done) => etcd.get(key, {}, done));
  await until('keys are served again', () =>
    get().then(
      () => true,
      () => false,
    ),
  );
  // Whether the watcher had to begin again, or the proxy has asked for it again, what comes next is told from its index on.
  for (const value of ['four', 'five']) await put(value);
  await watched.told(6);
  assert.deepEqual(watched.values, ['before', 'one', 'two', 'three', 'four', 'five']);
}

for (const install of installs)
  describe(`node-etcd, etcd ${install.version}`, { skip }, () => {
    const held = new AsyncDisposableStack();
    let etcd: EtcdCluster;
    let proxy: RunningProxy;
    let start: () => Promise<RunningProxy>;

    before(async () => {
      etcd = held.use(await startEtcd({ install, args: ['--enable-v2'] }));
      const port = await takePort();
      held.defer(() => returnPort(port));
      const flags = [`--listen-addr=127.0.0.1:${port}`, '--proxy-failure-wait=100'];
      start = () => startProxy({ endpoints: etcd.endpoints, flags });
      proxy = await start();
      held.defer(async () => void (await proxy.stop()));
    });
    after(() => held.disposeAsync());

    /** The same, directly and through the proxy. */
    const both = (title: string, run: (client: NodeEtcd, folder: string) => Promise<void>): void => {
      test(title, async () => {
        const folder = title.replaceAll(/\W/g, '-');
        await run(clientOf(etcd.first.url), `${folder}-direct`);
        await run(clientOf(proxy.url), `${folder}-proxy`);
      });
    };

    const restartEtcd = async (): Promise<void> => {
      await etcd.first.kill('SIGKILL');
      await etcd.first.start();
    };

    both('set, get, compare and swap, compare and delete', keys);
    both('what is created in order is in order', queue);
    both('lifetimes', lifetimes);
    both('errors have etcd’s codes', errors);
    both('directories, and all that is in them deleted', directories);
    both('watcher, etcd restarted', (client, folder) => watches(client, `${folder}/key`, restartEtcd));

    test('watcher, proxy restarted', async () => {
      await watches(clientOf(proxy.url), 'watched', async () => {
        await proxy.stop();
        proxy = await start();
      });
    });

    test('statistics and version', async () => {
      const of = async (client: NodeEtcd) => {
        const self = await called<Record<string, unknown>>((done) => client.selfStats(done));
        const leader = await called<Record<string, unknown>>((done) => client.leaderStats(done));
        const version = await called<Record<string, unknown>>((done) => client.version(done));
        return [self.id, self.name, self.state, leader, version];
      };
      const direct = await of(clientOf(etcd.first.url));
      assert.equal(direct[1], 'm0');
      assert.deepEqual(await of(clientOf(proxy.url)), direct);
    });
  });
