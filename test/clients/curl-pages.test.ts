/** Plain curl as a client: the health and metrics pages over both HTTP versions, and what CORS lets browsers do. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { base64, call, curl, HTTP_VERSIONS, type HttpVersion, noCurl } from './curl/curl.ts';

const ORIGIN = 'https://app.example';
const RANGE = '/etcdserverpb.KV/Range';

/** What the incumbent counts and what Go's gRPC middleware counts. */
const NAMES = [
  'etcd_grpc_proxy_watchers_coalescing_total',
  'etcd_grpc_proxy_events_coalescing_total',
  'etcd_grpc_proxy_cache_keys_total',
  'etcd_grpc_proxy_cache_hits_total',
  'etcd_grpc_proxy_cache_misses_total',
  'grpc_server_started_total',
  'grpc_server_handled_total',
  'grpc_server_msg_received_total',
  'grpc_server_msg_sent_total',
];

describe('curl', { skip: noCurl }, () => {
  let etcd: EtcdCluster;
  let proxy: RunningProxy;
  before(async () => {
    etcd = await startEtcd();
    proxy = await startProxy({ endpoints: etcd.endpoints });
  });
  after(async () => {
    await proxy?.stop();
    await etcd?.stop();
  });

  for (const version of HTTP_VERSIONS) {
    test(`health over HTTP/${version}`, () => healthy(proxy.url, version));
    test(`metrics over HTTP/${version}`, () => metrics(proxy.url, version));
    test(`CORS over HTTP/${version}`, () => noCors(proxy.url, version));
  }

  test('CORS for allowed origins', async () => {
    const flags = [`--cors-allowed-origins=https://other.example,${ORIGIN}`];
    await using open = await startProxy({ endpoints: etcd.endpoints, flags });
    for (const version of HTTP_VERSIONS) await allowed(open.url, version);
  });

  test('CORS for any origin', async () => {
    const flags = ['--cors-allowed-origins=*'];
    await using open = await startProxy({ endpoints: etcd.endpoints, flags });
    const { headers } = await preflight(open.url, '1.1');
    assert.match(headers.get('access-control-allow-origin') ?? '', /^(\*|https:\/\/app\.example)$/);
  });

  test('health while etcd is down', async () => {
    await etcd.first.kill();
    for (const version of HTTP_VERSIONS) await unhealthy(proxy.url, version);
    await etcd.first.start();
    await until('health', async () => {
      const { status } = await curl(`${proxy.url}/health`, { version: '1.1' });
      return status === 200;
    });
    for (const version of HTTP_VERSIONS) await healthy(proxy.url, version);
  });
});

async function healthy(url: string, version: HttpVersion): Promise<void> {
  for (const path of ['/health', '/proxy/health']) {
    const page = await curl(url + path, { version });
    assert.deepEqual([page.version, page.status], [version, 200], path);
    assert.equal(page.body, '{"health":"true","reason":""}', path);
    assert.equal(page.headers.get('content-type'), 'text/plain; charset=utf-8');
    const post = await curl(url + path, { version, body: 'x' });
    assert.deepEqual([post.status, post.headers.get('allow')], [405, 'GET'], path);
  }
}

async function unhealthy(url: string, version: HttpVersion): Promise<void> {
  for (const path of ['/health', '/proxy/health']) {
    const page = await curl(url + path, { version });
    assert.equal(page.status, 503, path);
    assert.match(page.body, /^\{"health":"false","reason":"GET ERROR:[^"]+"\}\n$/, path);
    assert.equal(page.headers.get('content-type'), 'text/plain; charset=utf-8');
    assert.equal(page.headers.get('x-content-type-options'), 'nosniff');
  }
}

const SAMPLE =
  /^[a-zA-Z_:][\w:]*(\{([a-zA-Z_]\w*="(\\.|[^"\\\n])*",?)*\})? (NaN|[+-]Inf|[+-]?[\d.]+(e[+-]?\d+)?)( -?\d+)?$/;
const COMMENT =
  /^# (HELP [a-zA-Z_:][\w:]* .*|TYPE [a-zA-Z_:][\w:]* (counter|gauge|histogram|summary|untyped))$/;

/** Checks the text form of Prometheus, and that every series has a type. */
function parseMetrics(text: string): Map<string, string> {
  assert.ok(text.endsWith('\n'));
  const types = new Map<string, string>();
  for (const line of text.split('\n').filter((some) => some !== '')) {
    assert.match(line, line.startsWith('#') ? COMMENT : SAMPLE);
    const [, name, type] = /^# TYPE (\S+) (\S+)/.exec(line) ?? [];
    if (name !== undefined && type !== undefined) {
      assert.ok(!types.has(name), `${name} has two types`);
      types.set(name, type);
    }
    const series = /^[\w:]+/.exec(line)?.[0];
    const family = series?.replace(/_(bucket|sum|count)$/, '');
    if (series !== undefined) assert.ok(types.has(series) || types.has(family ?? ''), line);
  }
  return types;
}

async function metrics(url: string, version: HttpVersion): Promise<void> {
  await call(url, version, 'etcdserverpb.KV/Range', { key: base64('metrics') });
  await call(url, version, 'etcdserverpb.KV/Range', {});
  for (const path of ['/metrics', '/proxy/metrics']) {
    const page = await curl(url + path, { version });
    assert.deepEqual([page.version, page.status], [version, 200], path);
    assert.match(page.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
    const types = parseMetrics(page.body);
    for (const name of NAMES) assert.ok(types.has(name), `${path} has no ${name}`);
    assert.equal(types.has('etcd_server_has_leader'), path === '/metrics', path);
    // On the page with etcd's the calls are those that etcd counts.
    if (path === '/metrics') continue;
    const labels = 'grpc_type="unary",grpc_service="etcdserverpb.KV",grpc_method="Range"';
    assert.match(page.body, new RegExp(`^grpc_server_started_total\\{${labels}\\} [1-9]`, 'm'));
    assert.match(
      page.body,
      new RegExp(`^grpc_server_handled_total\\{${labels},grpc_code="OK"\\} [1-9]`, 'm'),
    );
    const wrong = `^grpc_server_handled_total\\{${labels},grpc_code="InvalidArgument"\\} [1-9]`;
    assert.match(page.body, new RegExp(wrong, 'm'));
    assert.ok([...types].some(([name, type]) => type === 'histogram' && /upstream/.test(name)));
    assert.equal((await curl(url + path, { version, method: 'POST' })).status, 405);
  }
}

function preflight(url: string, version: HttpVersion, origin = ORIGIN) {
  return curl(url + RANGE, {
    version,
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type,connect-protocol-version,authorization,x-grpc-web',
    },
  });
}

function post(url: string, version: HttpVersion, origin: string) {
  const headers = { origin, 'content-type': 'application/json' };
  return curl(url + RANGE, { version, headers, body: `{"key":"${base64('cors')}"}` });
}

/** Without the flag nothing that a browser of another origin could use is answered. */
async function noCors(url: string, version: HttpVersion): Promise<void> {
  for (const response of [await preflight(url, version), await post(url, version, ORIGIN)]) {
    const allowing = [...response.headers.keys()].filter((name) => name.startsWith('access-control-'));
    assert.deepEqual(allowing, []);
  }
}

async function allowed(url: string, version: HttpVersion): Promise<void> {
  const { status, headers } = await preflight(url, version);
  assert.ok(status === 200 || status === 204, `preflight: ${status}`);
  assert.equal(headers.get('access-control-allow-origin'), ORIGIN);
  assert.match(headers.get('access-control-allow-methods') ?? '', /POST/);
  const fields = (headers.get('access-control-allow-headers') ?? '').toLowerCase();
  for (const name of ['content-type', 'connect-protocol-version', 'authorization', 'x-grpc-web'])
    assert.ok(fields.includes(name), `${name} is not allowed: ${fields}`);
  const answer = await post(url, version, ORIGIN);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('access-control-allow-origin'), ORIGIN);
  assert.match(answer.headers.get('vary') ?? '', /origin/i);
  const exposed = (answer.headers.get('access-control-expose-headers') ?? '').toLowerCase();
  for (const name of ['grpc-status', 'grpc-message']) assert.ok(exposed.includes(name), exposed);
  for (const stranger of [await preflight(url, version, 'https://evil.example')]) {
    assert.notEqual(stranger.headers.get('access-control-allow-origin'), 'https://evil.example');
    assert.notEqual(stranger.headers.get('access-control-allow-origin'), '*');
  }
}
