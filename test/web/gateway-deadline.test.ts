/** A deadline that passes before the first message of a client is there is an answer like any other. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { until } from '../support/until.ts';
import { Door } from './support.ts';

const RANGE = '/etcdserverpb.KV/Range';
const PATHS = ['watch', 'lease/keepalive', 'kv/range', 'maintenance/snapshot'];
const HEADERS = { 'grpc-timeout': '100m' };
const EXCEEDED = /context deadline exceeded/;

/** The status and the body of an answer to a request whose body does not end. */
function answerTo(
  url: string,
  begin: string,
  headers: Record<string, string> = HEADERS,
): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', headers });
    sent.on('error', reject);
    sent.on('response', (response) => {
      let body = '';
      response.on('error', reject);
      response.on('data', (part: Buffer) => {
        body += part.toString();
      });
      response.on('end', () => {
        resolve({ status: response.statusCode, body });
        sent.destroy();
      });
    });
    if (begin === '') sent.flushHeaders();
    else sent.write(begin);
  });
}

describe('before the first message is there', { timeout: 120_000 }, () => {
  for (const path of PATHS)
    for (const begin of ['', '{"a":'])
      test(`POST of ${path}, with ${begin === '' ? 'nothing' : 'the beginning of it'}`, async () => {
        await using door = await Door.open();
        const { status, body } = await answerTo(`${door.url}/v3/${path}`, begin);
        assert.equal(status, 504);
        assert.match(body, EXCEEDED);
        assert.deepEqual(door.observer.faults, []);
      });

  for (const [type, deadline, answer] of [
    ['application/json', 'connect-timeout-ms: 100', [504, /"deadline_exceeded"/]],
    ['application/proto', 'connect-timeout-ms: 100', [504, /"deadline_exceeded"/]],
    ['application/grpc-web+proto', 'grpc-timeout: 100m', [200, /grpc-status: 4/]],
    ['application/grpc-web-text', 'grpc-timeout: 100m', [200, /^[A-Za-z0-9+/=]+$/]],
  ] as const)
    for (const begin of ['', 'AAAA'])
      test(`${type}, with ${begin === '' ? 'nothing' : 'the beginning of it'}`, async () => {
        await using door = await Door.open({ unary: { [RANGE]: () => assert.fail() } });
        const [name = '', time = ''] = deadline.split(': ');
        const headers = { 'content-type': type, [name]: time };
        const { status, body } = await answerTo(door.url + RANGE, begin, headers);
        assert.equal(status, answer[0]);
        assert.match(body, answer[1]);
        assert.deepEqual(door.observer.faults, []);
      });

  for (const path of PATHS)
    test(`WebSocket to ${path}`, async () => {
      await using door = await Door.open();
      const socket = new WebSocket(`${door.url.replace('http', 'ws')}/v3/${path}`, { headers: HEADERS });
      let told = '';
      socket.on('error', () => {});
      socket.on('message', (frame) => {
        told += String(frame);
      });
      await until('it is closed', () => socket.readyState === WebSocket.CLOSED);
      assert.match(told, EXCEEDED);
      assert.deepEqual(door.observer.faults, []);
    });
});
