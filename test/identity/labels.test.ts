/** What only labels a call: names and values, and that no etcd refuses or heeds what counts as a label. */
import assert from 'node:assert/strict';
import { type ClientHttp2Session, connect } from 'node:http2';
import { describe, test } from 'node:test';
import { isLabel, withoutLabels } from '../../src/clients/labels.ts';
import { atLeast, availableEtcds, type EtcdInstall, startEtcd } from '../support/etcd.ts';

const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

/** Fields that real clients send. */
const USUAL: readonly (readonly [name: string, value: string])[] = [
  ['traceparent', TRACE],
  ['tracestate', 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE'],
  ['grpc-trace-bin', 'AAAKp2UZFs1D3YRIuyEcgDGcAbetaxcWkgMzEQIB'],
  ['b3', '80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1'],
  ['x-b3-traceid', '80f198ee56343ba864fe8b2a57d3eff7'],
  ['x-b3-sampled', '1'],
  ['x-request-id', '4f6ab2f0-8a39-4d3c-a2cf-3f5a05c3c3d5'],
  ['client-api-version', '3.5'],
  ['x-etcd-proxy-instance', 'Yp3v5xW0bS1k'],
];

/** Values that something on the way may not take. */
const ODD: readonly string[] = [
  '',
  'a',
  'ab',
  'abc',
  'abcd',
  'abcde',
  'ab==',
  'abc=',
  'a===',
  'ab=',
  '====',
  'ab==cd==',
  '!!!!',
  'a b',
  'a_-c',
  'two, values',
  'seven',
  '\xc3\xbc',
];

/** No UTF-8. As a version of the API, it is the end of an etcd before 3.6, so those are not asked. */
const NO_TEXT: readonly string[] = ['\xff', '\xc3'];

const NAMES = [...USUAL.map(([name]) => name), 'x-b3-state-bin', 'correlation-id', 'request-id'];

const installs = await availableEtcds();

describe('labels', () => {
  test('what real clients send', () => {
    for (const [name, value] of USUAL) assert.ok(isLabel(name, value), name);
  });

  test('proxies on the way, unless they are so many that the next one might refuse the call', () => {
    const via = (proxies: number) =>
      Array.from({ length: proxies }, (_, i) => ['x-etcd-proxy-instance', `${i}`]);
    assert.deepEqual(withoutLabels(via(4).flat()), []);
    assert.equal(withoutLabels(via(5).flat()).length, 10);
  });

  test('nothing else is one', () => {
    for (const name of [
      'token',
      'authorization',
      'hasleader',
      'x-tenant',
      'b3-',
      'x-b3',
      'grpc-tags-bin',
      'baggage',
    ])
      assert.equal(isLabel(name, 'x'), false, name);
  });

  test('none counts as one where they are long together', () => {
    for (const names of [['tracestate'], ['b3', 'x-b3-one', 'x-b3-two']]) {
      const room = 2048 - names.join('').length;
      const first = Math.floor(room / names.length);
      const rest = room - first * (names.length - 1);
      const fields = names.flatMap((name, i) => [name, 'x'.repeat(i === 0 ? rest : first)]);
      assert.deepEqual(withoutLabels(['token', 'x', ...fields]), ['token', 'x']);
      const more = ['token', 'x', ...fields.with(1, `${fields[1]}x`)];
      assert.deepEqual(withoutLabels(more), more);
    }
  });

  test('nor is what is no text', () => {
    for (const name of NAMES) for (const value of NO_TEXT) assert.equal(isLabel(name, value), false, name);
  });

  test('each value of a name is looked at by itself', () => {
    const fields = ['b3', '0', 'token', 'x', 'b3', '\xff', 'b3', '1', 'token', 'y'];
    assert.deepEqual(withoutLabels(fields), ['token', 'x', 'b3', '\xff', 'token', 'y']);
  });

  for (const install of installs)
    test(`etcd ${install.version} answers whatever labels a call has`, () => answersAll(install));
});

async function answersAll(install: EtcdInstall): Promise<void> {
  await using etcd = await startEtcd({ install });
  const session = connect(`http://${etcd.first.address}`);
  const refused: string[] = [];
  try {
    const odd = atLeast(install, 3, 6) ? [...ODD, ...NO_TEXT] : ODD;
    for (const name of NAMES) {
      for (const value of odd) {
        const code = await read(session, name, value);
        if (code !== '0') refused.push(name);
        if (isLabel(name, value)) assert.equal(code, '0', `${name}: ${JSON.stringify(value)}`);
      }
    }
  } finally {
    session.destroy();
  }
  // Every release refuses something; else the test would have shown nothing.
  assert.ok(refused.includes('grpc-trace-bin'), refused.join());
}

/** The gRPC status of a read with a field; empty where there is none. */
function read(session: ClientHttp2Session, name: string, value: string): Promise<string> {
  const request = session.request({
    ':method': 'POST',
    ':path': '/etcdserverpb.KV/Range',
    'content-type': 'application/grpc',
    te: 'trailers',
    [name]: value,
  });
  const { promise, resolve } = Promise.withResolvers<string>();
  let status: string | undefined;
  request.on('response', (headers) => {
    status = headers['grpc-status'] as string | undefined;
  });
  request.on('trailers', (headers) => {
    status = headers['grpc-status'] as string | undefined;
  });
  request.on('error', () => resolve(''));
  request.on('close', () => resolve(status ?? ''));
  request.resume();
  request.end(Buffer.from([0, 0, 0, 0, 3, 0x0a, 1, 0x61]));
  return promise;
}
