/**
 * Serializable reads after the endpoint has changed to a member that lags: the answer is no older than what the client was
 * told, as far as anybody can say; where nobody can, it is the older one, or an error for those who asked for that.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { bytes, connectTo } from '../failover/load.ts';
import { cutOff, untilStatus } from '../support/members.ts';
import { metric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { Stage } from './stage.ts';

const KEY = bytes('order');
const BEHIND = 'etcd_proxy_serializable_reads_behind_total';

for (const strict of [false, true]) {
  test(`a member that lags is all there is (strict: ${strict})`, { timeout: 120_000 }, async () => {
    await using stage = await Stage.open({ use: 'follower' });
    const [ahead, behind] = [stage.others[0], stage.members[stage.victim]];
    assert.ok(ahead && behind);
    const relay = stage.relays[stage.members.indexOf(ahead)];
    const lagging = stage.relays[stage.victim];
    assert.ok(relay && lagging);
    // The cache would have the answer; it is not what is tested.
    const flags = ['--cache=off', `--experimental-serializable-ordering=${strict}`];
    await using proxy = await startProxy({ endpoints: [relay.address, lagging.address], flags });
    const { kv } = connectTo(proxy.url);
    const read = async (): Promise<string> => {
      const { kvs } = await kv.range({ key: KEY, serializable: true }, { timeoutMs: 20_000 });
      return Buffer.from(kvs[0]?.value ?? []).toString();
    };

    await kv.put({ key: KEY, value: bytes('old') });
    await cutOff(stage.cluster, stage.victim);
    // A linearizable read makes the proxy leave the member that was cut off, if it is there.
    await kv.range({ key: KEY }, { timeoutMs: 20_000 });
    await kv.put({ key: KEY, value: bytes('new') }, { timeoutMs: 20_000 });
    assert.equal(await read(), 'new');
    relay.refuse();
    relay.cut(true);

    if (strict)
      await assert.rejects(read, (error) => {
        const { code, rawMessage } = ConnectError.from(error);
        assert.equal(code, Code.Unavailable);
        assert.match(rawMessage, /no cluster members have a revision higher than the previously received/);
        return true;
      });
    else assert.equal(await read(), 'old');
    assert.ok((await metric(proxy.url, `${BEHIND}{outcome="${strict ? 'refused' : 'older'}"}`)) > 0);

    stage.cluster.links?.heal(stage.victim, (await untilStatus(behind, () => true, 'there')).id);
    await untilStatus(behind, ({ leader }) => leader !== 0n, 'with a leader');
    // It hears of its leader before it has all that was written.
    await until('the new one is read', async () => (await read().catch(() => undefined)) === 'new');
  });
}

test('no quorum: the endpoint that was left has the newer answer', { timeout: 120_000 }, async () => {
  await using stage = await Stage.open({ use: 'follower' });
  const [ahead, third] = stage.others;
  const lagging = stage.relays[stage.victim];
  assert.ok(ahead && third && lagging);
  const relay = stage.relays[stage.members.indexOf(ahead)];
  assert.ok(relay);
  const flags = ['--cache=off', '--experimental-serializable-ordering=true'];
  await using proxy = await startProxy({ endpoints: [relay.address, lagging.address], flags });
  const { kv } = connectTo(proxy.url);
  await kv.put({ key: KEY, value: bytes('old') });
  await cutOff(stage.cluster, stage.victim);
  await kv.range({ key: KEY }, { timeoutMs: 20_000 });
  await kv.put({ key: KEY, value: bytes('new') }, { timeoutMs: 20_000 });
  await third.kill();
  // The connection to the one that has the new value is lost, and nobody serves.
  relay.cut(true);
  const read = () => kv.range({ key: KEY, serializable: true }, { timeoutMs: 20_000 });
  await assert.rejects(read);
  relay.accept();
  // Until it is connected again, there is nobody who has it.
  const { kvs } = await until('an answer', () => read().catch(() => undefined));
  assert.equal(Buffer.from(kvs[0]?.value ?? []).toString(), 'new');
  assert.ok((await metric(proxy.url, `${BEHIND}{outcome="elsewhere"}`)) > 0);
});
