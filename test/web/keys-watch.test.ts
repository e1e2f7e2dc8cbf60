/** Changes as Server-Sent Events: none is lost, repeated or cut in two by a client that goes and comes back, and how streams end. */
import assert from 'node:assert/strict';
import { connect as connectHttp2 } from 'node:http2';
import { after, before, describe, test } from 'node:test';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { etcdMetric } from '../support/metrics.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { newestEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { send } from './gateway/sides.ts';
import { ask, type Event, EventStream } from './kv/ask.ts';

const b64 = (text: string): string => Buffer.from(text).toString('base64');

for (const install of await newestEtcds())
  describe(`a watch, etcd ${install.version}`, () => {
    let etcd: EtcdCluster;
    let proxy: RunningProxy;
    const streams: EventStream[] = [];
    before(async () => {
      etcd = await startEtcd({ install });
      proxy = await startProxy({ endpoints: etcd.endpoints, flags: ['--watch-linger=0s'] });
    });
    after(async () => {
      for (const stream of streams) stream.close();
      await proxy?.stop();
      await etcd?.stop();
    });

    const watch = (path: string, headers: Record<string, string> = {}): EventStream => {
      const stream = new EventStream(proxy.url, `/watch/${path}`, headers);
      streams.push(stream);
      return stream;
    };
    const put = async (key: string, value: string): Promise<string> => {
      const { status, headers } = await ask(proxy.url, { method: 'PUT', path: `/kv/${key}`, body: value });
      assert.equal(status, 204);
      return String(headers['x-etcd-revision']);
    };
    const etcds = async (path: string, body: object): Promise<string> => {
      const { status, text } = await send(etcd.first.url, { path, body: JSON.stringify(body) });
      assert.equal(status, 200, text);
      return text;
    };
    const watchersAtEtcd = (): Promise<number> =>
      etcdMetric(etcd.first.metricsUrl, 'etcd_debugging_mvcc_watcher_total');

    test('tells puts and deletes, each with its revision, and ends with its client', async () => {
      const stream = await watch('life').begun();
      assert.equal(stream.response?.headers['content-type'], 'text/event-stream');
      assert.equal(stream.response?.headers['cache-control'], 'no-store');
      assert.ok(Number(stream.lastId) > 0, 'what comes next follows this');
      const first = await put('life', 'one');
      const second = await put('life', Buffer.of(0xff).toString('latin1'));
      await put('life/other', 'not this one');
      await ask(proxy.url, { method: 'DELETE', path: '/kv/life' });
      const [one, two, three] = await stream.atLeast(3);
      const common = { key: 'life', create_revision: first };
      assert.deepEqual(one, {
        name: 'put',
        id: first,
        data: { ...common, value: 'one', mod_revision: first, version: '1' },
      });
      assert.deepEqual(two?.data, { ...common, value: 'ÿ', mod_revision: second, version: '2' });
      assert.deepEqual(three, {
        name: 'delete',
        id: three?.id,
        data: { key: 'life', mod_revision: three?.id },
      });
      assert.ok((await watchersAtEtcd()) > 0);
      stream.close();
      await until('the end of the watch', async () => (await watchersAtEtcd()) === 0);
    });

    test('keys and values that are no text are base64', async () => {
      const stream = await watch('odd?prefix').begun();
      await ask(proxy.url, { method: 'PUT', path: '/kv/odd%ff', body: Buffer.of(0, 0xff) });
      await ask(proxy.url, { method: 'DELETE', path: '/kv/odd%ff' });
      const [one, two] = await stream.atLeast(2);
      assert.equal(one?.data.key_base64, Buffer.from('odd\xff', 'latin1').toString('base64'));
      assert.equal(one?.data.value_base64, 'AP8=');
      assert.equal(two?.data.key_base64, one?.data.key_base64);
      stream.close();
    });

    test('over HTTP/2', async () => {
      const session = connectHttp2(proxy.url);
      session.on('error', () => {});
      const stream = session.request({ ':method': 'GET', ':path': '/watch/h2' });
      let text = '';
      stream.on('data', (part: Buffer) => {
        text += part.toString();
      });
      stream.on('error', () => {});
      await until('the beginning', () => /^id: \d+\n\n$/.test(text));
      await put('h2', 'x');
      await until('the event', () => text.includes('"value":"x"'));
      session.destroy();
      await until('the end of the watch', async () => (await watchersAtEtcd()) === 0);
    });

    test('of many events of a revision only the last one has its id', async () => {
      const stream = await watch('many/?prefix').begun();
      const ops = ['c', 'a', 'b'].map((name) => ({
        request_put: { key: b64(`many/${name}`), value: b64(name) },
      }));
      await etcds('kv/txn', { success: ops });
      await etcds('kv/deleterange', { key: b64('many/'), range_end: b64('many0') });
      const events = await stream.atLeast(6);
      for (const revision of [events.slice(0, 3), events.slice(3)]) {
        const [{ mod_revision } = {}] = revision.map(({ data }) => data);
        assert.deepEqual(
          revision.map(({ id }) => id),
          [undefined, undefined, mod_revision],
        );
      }
      stream.close();
    });

    test('of the past: from a revision on, and after the last event of a client', async () => {
      const revisions = [];
      for (const value of ['1', '2', '3']) revisions.push(await put('past', value));
      const [first, second] = revisions as [string, string];
      const valuesOf = async (stream: EventStream, count: number): Promise<unknown[]> => {
        const values = (await stream.atLeast(count)).map(({ data }) => data.value);
        stream.close();
        return values;
      };
      assert.deepEqual(await valuesOf(watch(`past?revision=${second}`), 2), ['2', '3']);
      assert.deepEqual(await valuesOf(watch('past', { 'last-event-id': first }), 2), ['2', '3']);
      assert.deepEqual(await valuesOf(watch(`past?lastEventId=${second}`), 1), ['3']);
      // What a library kept in the address is older than what the browser sends.
      const both = watch(`past?lastEventId=${first}&revision=1&snapshot`, { 'last-event-id': second });
      assert.deepEqual(await valuesOf(both, 1), ['3']);
      assert.deepEqual(await valuesOf(watch('past?lastEventId=', { 'last-event-id': '' }), 0), []);
    });

    test('a snapshot, and what comes after it', async () => {
      await put('snap/a', '1');
      const second = await put('snap/b', '2');
      await put('snap/b', '3');
      const at = await put('elsewhere', 'x');
      const stream = watch('snap/?prefix&snapshot');
      await stream.atLeast(3);
      await put('snap/a', '4');
      const events = await stream.atLeast(4);
      assert.deepEqual(
        events.map(({ name, data, id }) => [name, data.key, data.value, id]),
        [
          ['snapshot', 'snap/a', '1', undefined],
          ['snapshot', 'snap/b', '3', undefined],
          ['synced', undefined, undefined, at],
          ['put', 'snap/a', '4', String(Number(at) + 1)],
        ],
      );
      assert.deepEqual(events[2]?.data, { revision: at });
      const earlier = await watch(`snap/?prefix&snapshot&revision=${second}`).atLeast(5);
      assert.deepEqual(
        earlier.map(({ name, data }) => [name, data.value]),
        [
          ['snapshot', '1'],
          ['snapshot', '2'],
          ['synced', undefined],
          ['put', '3'],
          ['put', '4'],
        ],
      );
      assert.deepEqual(
        (await watch('nothing/?prefix&snapshot').atLeast(1)).map(({ name }) => name),
        ['synced'],
      );
    });

    test('who comes back again and again has every event once', async () => {
      const total = 200;
      let { lastId } = await watch('back/?prefix').begun();
      const writers = Promise.all(
        [0, 1, 2, 3].map(async (writer) => {
          for (let i = 0; i < total / 4; i++) {
            // Two keys in a revision: neither is told without the other.
            const success = ['x', 'y'].map((half) => ({
              request_put: { key: b64(`back/${writer}/${i}/${half}`), value: b64('v') },
            }));
            await etcds('kv/txn', { success });
          }
        }),
      );
      const complete: Event[] = [];
      let resumes = 0;
      while (complete.length < 2 * total) {
        const stream = watch('back/?prefix', { 'last-event-id': lastId });
        const wanted = Math.min(1 + ((resumes * 7) % 13), 2 * total - complete.length);
        await stream.atLeast(wanted);
        stream.close();
        resumes++;
        // What came after the last id is told again; what a browser had of it until then was half of a revision.
        let pending: Event[] = [];
        for (const event of stream.events.slice(0, wanted)) {
          pending.push(event);
          if (event.id === undefined) continue;
          complete.push(...pending);
          lastId = event.id;
          pending = [];
        }
      }
      await writers;
      const keys = complete.map(({ data }) => data.key);
      assert.equal(keys.length, 2 * total);
      assert.equal(new Set(keys).size, 2 * total);
      const revisions = complete.map(({ data }) => Number(data.mod_revision));
      assert.deepEqual(
        revisions,
        revisions.toSorted((a, b) => a - b),
      );
      assert.ok(resumes > 20);
    });

    test('what was compacted: the revision to go on at, and the id to come back with', async () => {
      const first = await put('compact', '1');
      await put('compact', '2');
      const third = await put('compact', '3');
      await etcds('kv/compaction', { revision: third });
      const stream = watch('compact', { 'last-event-id': first });
      const [compacted] = await stream.atLeast(1);
      assert.deepEqual(compacted, {
        name: 'compacted',
        id: String(Number(third) - 1),
        data: { compact_revision: third },
      });
      await until('the end', () => stream.ended);
      const again = watch('compact', { 'last-event-id': stream.lastId });
      assert.equal((await again.atLeast(1))[0]?.data.value, '3');
      // With a snapshot there is no id to come back with, so that it begins anew.
      const snapshot = watch('compact?snapshot', { 'last-event-id': first });
      assert.equal((await snapshot.atLeast(1))[0]?.name, 'compacted');
      await until('the end', () => snapshot.ended);
      assert.equal(snapshot.lastId, '');
      const anew = await watch('compact?snapshot', { 'last-event-id': snapshot.lastId }).atLeast(2);
      assert.deepEqual(
        anew.map(({ name }) => name),
        ['snapshot', 'synced'],
      );
      const answer = await ask(proxy.url, { path: `/watch/compact?snapshot&revision=${first}` });
      assert.equal(answer.status, 400, 'a snapshot that is not there any more');
    });

    test('a thousand of them are one on etcd', async () => {
      for (const stream of streams) stream.close();
      await until('no watch', async () => (await watchersAtEtcd()) === 0);
      const many = Array.from({ length: 1000 }, () => watch('crowd'));
      await Promise.all(many.map((stream) => stream.begun()));
      await until('one watch', async () => (await watchersAtEtcd()) === 1);
      await put('crowd', 'hello');
      await Promise.all(many.map((stream) => stream.atLeast(1)));
      assert.ok(many.every(({ events }) => events[0]?.data.value === 'hello'));
      for (const stream of many) stream.close();
      await until('no watch', async () => (await watchersAtEtcd()) === 0);
    });

    test('a client that reads nothing holds back only itself', async () => {
      const slow = watch('slow?prefix');
      slow.request.on('response', (response) => setImmediate(() => response.pause()));
      const quick = await watch('slow?prefix').begun();
      for (let i = 0; i < 60; i++) await put(`slow${i % 10}`, 'x'.repeat(400_000));
      const seen = await quick.atLeast(60);
      assert.equal(seen.length, 60);
      slow.response?.resume();
      const late = await slow.atLeast(60);
      assert.deepEqual(
        late.map(({ id }) => id),
        seen.map(({ id }) => id),
      );
    });
  });
