/** Which headers of web clients become metadata of a call. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientMetadata } from '../../src/web/client-headers.ts';

test('what a browser and its protocols add is dropped', () => {
  const added = {
    Host: 'etcd:2379',
    Connection: 'keep-alive',
    'Content-Length': '14',
    'Content-Type': 'application/json',
    'Content-Encoding': 'gzip',
    'User-Agent': 'Mozilla/5.0',
    Accept: '*/*',
    'Accept-Encoding': 'gzip, br',
    'Accept-Language': 'de',
    Origin: 'https://app.example',
    Referer: 'https://app.example/page',
    Cookie: 'session=1',
    'Sec-Fetch-Mode': 'cors',
    'sec-ch-ua': '"x"',
    Priority: 'u=4',
    Pragma: 'no-cache',
    'Cache-Control': 'no-cache',
    DNT: '1',
    'If-None-Match': '"x"',
    'Access-Control-Request-Method': 'POST',
    'Connect-Protocol-Version': '1',
    'Connect-Timeout-Ms': '1000',
    'Grpc-Timeout': '1S',
    'X-Grpc-Web': '1',
    'X-User-Agent': 'connect-es/2',
    TE: 'trailers',
  };
  assert.deepEqual(clientMetadata(Object.entries(added).flat()).fields, []);
});

test('what the application sends is kept, in order, repeated keys too', () => {
  const fields = clientMetadata([
    ...['Token', 'tok'],
    ...['X-Custom', 'one'],
    ...['X-Custom', 'two'],
    ...['trace-bin', 'AAEC'],
    ...['Traceparent', '00-1-2-01'],
    ...['grpc-trace-bin', 'AAEC'],
    ...['HasLeader', 'true'],
    ...['Client-Api-Version', '3.6'],
  ]).fields;
  assert.deepEqual(fields, [
    ...['token', 'tok'],
    ...['x-custom', 'one'],
    ...['x-custom', 'two'],
    ...['trace-bin', 'AAEC'],
    ...['traceparent', '00-1-2-01'],
    ...['grpc-trace-bin', 'AAEC'],
    ...['hasleader', 'true'],
    ...['client-api-version', '3.6'],
  ]);
});

test('a bearer token is a token', () => {
  assert.deepEqual(clientMetadata(['Authorization', 'Bearer abc.def']).fields, ['authorization', 'abc.def']);
});
