/**
 * A real browser with a page of somebody else's: of another origin, and of a name that leads to the proxy. Neither gets
 * anything done that its user did not ask for, by etcd's JSON, Connect, forms, WebSocket or keys as resources. A page of the proxy's own origin does.
 */
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import { after, before, describe, test } from 'node:test';
import type { BrowserContext } from 'playwright-core';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { noChromium, startChromium } from './browser/chromium.ts';

/** A name of another site, which leads to this machine. */
const EVIL = 'rebound.example';

/** What a page tries, as it runs there; each gives the status, or what the browser says instead. */
const TRIES = `(async (base) => {
  const put = JSON.stringify({ key: 'YQ==', value: 'YQ==' });
  const ask = async (path, init) => {
    try {
      const response = await fetch(base + path, { method: 'POST', body: put, ...init });
      return response.type === 'opaque' ? 'opaque' : response.status;
    } catch {
      return 'refused';
    }
  };
  const socket = () => new Promise((resolve) => {
    const opened = new WebSocket(base.replace('http', 'ws') + '/v3/kv/put');
    opened.onerror = () => resolve('refused');
    opened.onopen = () => opened.send(put);
    opened.onmessage = () => resolve('answered');
  });
  const form = () => new Promise((resolve) => {
    const frame = document.createElement('iframe');
    frame.name = 'answer';
    document.body.append(frame);
    const form = document.createElement('form');
    Object.assign(form, { method: 'POST', action: base + '/v3/kv/put', enctype: 'text/plain', target: 'answer' });
    const field = document.createElement('input');
    Object.assign(field, { name: '{"key":"YQ==","x":"', value: '"}' });
    form.append(field);
    document.body.append(form);
    frame.onload = () => resolve('sent');
    form.submit();
  });
  const events = () => new Promise((resolve) => {
    const source = new EventSource(base + '/watch/a?snapshot');
    source.onerror = () => { source.close(); resolve('refused'); };
    source.addEventListener('synced', () => { source.close(); resolve('told'); });
  });
  const script = () => new Promise((resolve) => {
    const element = document.createElement('script');
    element.src = base + '/kv/script';
    element.onerror = () => resolve('refused');
    element.onload = () => resolve(window.ran ?? 'loaded');
    document.body.append(element);
  });
  const image = () => new Promise((resolve) => {
    const element = document.createElement('img');
    element.src = base + '/kv/image';
    element.onerror = () => resolve('refused');
    element.onload = () => resolve('seen');
    document.body.append(element);
  });
  const get = '/etcdserverpb.KV/Range?connect=v1&encoding=json&message=' + encodeURIComponent('{"key":"YQ=="}');
  return {
    simple: await ask('/v3/kv/put', { mode: 'no-cors', headers: { 'content-type': 'text/plain' } }),
    json: await ask('/v3/kv/put', { headers: { 'content-type': 'application/json' } }),
    connect: await ask('/etcdserverpb.KV/Put', { headers: { 'content-type': 'application/json' } }),
    get: await ask(get, { method: 'GET', body: undefined }),
    form: await form(),
    socket: await socket(),
    put: await ask('/kv/a', { method: 'PUT' }),
    value: await ask('/kv/script', { method: 'GET', body: undefined }),
    blind: await ask('/kv/script', { method: 'GET', body: undefined, mode: 'no-cors' }),
    events: await events(),
    script: await script(),
    image: await image(),
  };
})`;

describe('pages of others', { skip: noChromium() }, () => {
  let etcd: EtcdCluster;
  let proxy: RunningProxy;
  let site: Server;
  let browser: BrowserContext;
  before(async () => {
    site = createServer((_, response) =>
      response.setHeader('content-type', 'text/html').end('<body></body>'),
    );
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
    etcd = await startEtcd();
    [proxy, browser] = await Promise.all([
      startProxy({ endpoints: etcd.endpoints }),
      startChromium([`--host-resolver-rules=MAP ${EVIL} 127.0.0.1`]),
    ]);
    for (const [key, value] of [
      ['script', 'window.ran = "run"'],
      ['image', Buffer.from('R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==', 'base64')],
    ] as const)
      await fetch(`${proxy.url}/kv/${key}`, { method: 'PUT', body: value });
  });
  after(async () => {
    await browser?.close();
    await proxy?.stop();
    await etcd?.stop();
    site?.close();
  });

  const attempt = async (page: string, base: string): Promise<unknown> => {
    const opened = await browser.newPage();
    await opened.goto(page);
    return opened.evaluate(`${TRIES}(${JSON.stringify(base)})`);
  };
  const written = async (): Promise<string | undefined> => {
    const response = await fetch(`${proxy.url}/v3/kv/range`, { method: 'POST', body: '{"key":"YQ=="}' });
    return ((await response.json()) as { count?: string }).count;
  };

  test('of another origin: nothing is done', async () => {
    const { port } = site.address() as { port: number };
    assert.deepEqual(await attempt(`http://127.0.0.1:${port}/`, proxy.url), {
      simple: 'opaque',
      json: 'refused',
      connect: 'refused',
      get: 'refused',
      form: 'sent',
      socket: 'refused',
      put: 'refused',
      value: 'refused',
      blind: 'refused',
      events: 'refused',
      script: 'refused',
      image: 'refused',
    });
    assert.equal(await written(), undefined);
  });

  test('of a name that leads to the proxy: nothing is done, and nothing read', async () => {
    const base = proxy.url.replace('127.0.0.1', EVIL);
    assert.deepEqual(await attempt(`${base}/health`, base), {
      simple: 421,
      json: 421,
      connect: 421,
      get: 421,
      form: 'sent',
      socket: 'refused',
      put: 421,
      value: 421,
      blind: 421,
      events: 'refused',
      script: 'refused',
      image: 'refused',
    });
    assert.equal(await written(), undefined);
  });

  test("of the proxy's own origin: all is done", async () => {
    assert.deepEqual(await attempt(`${proxy.url}/health`, proxy.url), {
      simple: 200,
      json: 200,
      connect: 200,
      get: 200,
      form: 'sent',
      socket: 'answered',
      put: 204,
      value: 200,
      blind: 200,
      events: 'told',
      // What is no script is not run, whoever asks.
      script: 'refused',
      image: 'seen',
    });
    assert.equal(await written(), '1');
  });
});
