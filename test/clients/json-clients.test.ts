/**
 * The code of clients of etcd's JSON, as it is on Python's package index, through the proxy: Patroni's layer for etcd 3 and
 * etcd3gw. Needs Python and that index.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { runProcess } from '../support/process.ts';
import { type Python, pythonWith } from '../support/python.ts';
import { startTarget, type Target } from './target.ts';

/** Patroni reads its driver for PostgreSQL whatever it does. */
const PACKAGES = ['patroni[etcd3]==4.1.5', 'psycopg2-binary<3', 'etcd3gw==2.7.0'];

const PATRONI = {
  patroni: '4.1.5',
  version: true,
  prefix: '/v3',
  machines: [true],
  initialized: [true, false],
  touched: true,
  acquired: [true, false],
  leader: ['one', true, '7'],
  kept: true,
  alive: '30',
  swapped: [true, false],
  gone: null,
  follows: true,
  deleted: true,
};

describe('clients of JSON', () => {
  let python: Python;
  let etcd: EtcdCluster;
  let target: Target;
  before(async () => {
    [python, etcd] = await Promise.all([pythonWith('json-clients', PACKAGES), startEtcd()]);
    target = await startTarget(etcd);
  });
  after(async () => {
    await target?.[Symbol.asyncDispose]();
    await etcd?.stop();
  });

  /** What a client saw; undefined: there is no Python for it. */
  async function peer(name: string, ...login: string[]): Promise<unknown> {
    if ('missing' in python) return undefined;
    const script = `test/tools/json-clients/${name}_peer.py`;
    const args = [script, target.address, ...login];
    const { code, stdout, stderr } = await runProcess(python.program, args, { limitMs: 120_000 });
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  }

  const client = (title: string, run: () => Promise<void>): void => {
    test(title, async (t) => {
      if ('missing' in python) t.skip(python.missing);
      else await run();
    });
  };

  client('etcd3gw', async () => {
    assert.deepEqual(await peer('etcd3gw'), {
      etcd3gw: '2.7.0',
      path: '/v3/',
      status: true,
      members: 1,
      put: true,
      get: true,
      none: [],
      created: [true, false],
      replaced: [true, false],
      prefix: 19,
      metadata: ['create_revision', 'key', 'mod_revision', 'version'],
      lease: [true, 60, true, true],
      gone: [[], -1],
      locked: [true, false],
      events: ['PUT', 'DELETE'],
      once: true,
      transaction: true,
      error: 'etcdserver: key is not provided',
      deleted: true,
    });
  });

  client('Patroni', async () => {
    assert.deepEqual(await peer('patroni'), PATRONI);
  });

  client('Patroni, with auth on', async () => {
    for (const [path, body] of [
      ['user/add', { name: 'root', password: 'secret' }],
      ['user/grant', { user: 'root', role: 'root' }],
      ['enable', {}],
    ] as const) {
      const url = `${target.url}/v3/auth/${path}`;
      const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
      assert.equal(response.status, 200, await response.text());
    }
    assert.deepEqual(await peer('patroni', 'root', 'secret'), {
      ...PATRONI,
      outdated: "<Unauthenticated error: 'etcdserver: invalid auth token', code: 16>",
      again: true,
    });
  });
});
