/**
 * What is held for the requests of web clients counts as well: over HTTP/1.1 and over HTTP/2, bodies and heads, also
 * those that are never complete or small until they are unpacked.
 */
import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import { connect as connectSocket, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { until } from '../support/until.ts';
import { LIMIT, MemoryScene, MIB, PUT } from './memory-scene.ts';

/** A request of HTTP/1.1 that is written piece by piece, and what came back. */
class Request1 implements Disposable {
  answer = '';
  closed = false;
  readonly socket: Socket;

  constructor(address: string, head: string) {
    this.socket = connectSocket(Number(address.split(':')[1]), '127.0.0.1');
    this.socket.write(head);
    this.socket.on('error', () => {}); // a connection that is cut is seen by its close
    this.socket.on('close', () => {
      this.closed = true;
    });
    this.socket.on('data', (chunk: Buffer) => {
      this.answer += chunk.toString('latin1');
    });
  }

  /** Writes these bytes over and over until so many were written or the socket takes no more for ever. */
  pour(piece: Buffer, bytes: number): void {
    const pump = (): void => {
      while (this.socket.bytesWritten < bytes && !this.socket.destroyed) {
        if (!this.socket.write(piece)) {
          this.socket.once('drain', pump);
          return;
        }
      }
    };
    pump();
  }

  get status(): string {
    return /^HTTP\/1\.1 (\d+)/.exec(this.answer)?.[1] ?? '';
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

const post = (type: string, length: number, more = ''): string =>
  `POST ${PUT} HTTP/1.1\r\nhost: a\r\ncontent-type: ${type}\r\n${more}content-length: ${length}\r\n\r\n`;

const PIECE = Buffer.alloc(MIB, 'x');

describe('the sum of what is held for requests of web clients', () => {
  for (const type of ['application/json', 'application/proto', 'application/grpc-web+proto']) {
    test(`60 HTTP/1.1 bodies of ${type} that are never complete`, async (t) => {
      await using scene = await MemoryScene.begin();
      const requests = Array.from({ length: 60 }, () => {
        const request = new Request1(scene.proxy.address, post(type, 30 * MIB));
        // gRPC-Web's envelope announces a message of 29 MiB.
        if (type.includes('grpc')) request.socket.write(Buffer.from([0, 0x01, 0xd0, 0, 0]));
        request.pour(PIECE, 20 * MIB);
        return request;
      });
      await until('requests are refused', async () => (await scene.refused()) > 20);
      await scene.bounded(8 * MIB);
      await scene.served(20);
      await until('the refused have their answers', () =>
        requests.some(({ answer }) => answer.replaceAll('%20', ' ').includes('too much is held')),
      );
      const statuses = new Set(requests.map(({ status }) => status));
      statuses.delete('');
      assert.deepEqual([...statuses], [type.includes('grpc') ? '200' : '429']);
      if (type.includes('grpc')) assert.ok(requests.some(({ answer }) => /grpc-status: ?8/.test(answer)));
      for (const request of requests) request[Symbol.dispose]();
      await scene.settled(t);
    });
  }

  test('bodies over HTTP/2 that are never complete', async (t) => {
    await using scene = await MemoryScene.begin();
    // node:http2 counts what waits to be sent against a limit of its own (MB), and resets streams above it.
    const session = connect(scene.proxy.url, { maxSessionMemory: 4000 });
    const statuses: number[] = [];
    for (let i = 0; i < 60; i++) {
      const stream = session.request({
        ':method': 'POST',
        ':path': PUT,
        'content-type': 'application/proto',
      });
      stream.on('response', (headers) => statuses.push(Number(headers[':status'])));
      stream.on('error', () => {}); // its reset
      stream.resume();
      let left = 20;
      const pump = (): void => {
        while (left-- > 0 && !stream.destroyed)
          if (!stream.write(PIECE)) {
            stream.once('drain', pump);
            return;
          }
      };
      pump();
    }
    await until('requests are refused', async () => (await scene.refused()) > 20);
    await scene.served(20);
    await until('the refused have their answers', () => statuses.length > 10);
    assert.deepEqual([...new Set(statuses)], [429]);
    assert.ok((await scene.held()) <= LIMIT + 4 * MIB);
    session.destroy();
    await scene.settled(t);
  });

  test('heads that are never complete', async (t) => {
    await using scene = await MemoryScene.begin();
    const field = Buffer.from(`x: ${'y'.repeat(8000)}\r\n`);
    const requests = Array.from({ length: 200 }, () => {
      const request = new Request1(scene.proxy.address, 'GET /health HTTP/1.1\r\n');
      request.pour(field, 900_000);
      return request;
    });
    await until('connections are cut', () => requests.filter(({ closed }) => closed).length > 50);
    await scene.served(20);
    assert.ok(requests.some(({ closed }) => !closed));
    for (const request of requests) request[Symbol.dispose]();
    await scene.settled(t);
  });

  test('bodies that are small until they are unpacked', async (t) => {
    await using scene = await MemoryScene.begin(['--max-send-bytes=10000000']);
    scene.etcd.first.pause();
    const body = gzipSync(Buffer.from(`{"key":"aGVsbG8=","value":"${'A'.repeat(8_000_000)}"}`));
    const requests = Array.from({ length: 60 }, () => {
      const head = post('application/json', body.length, 'content-encoding: gzip\r\n');
      const request = new Request1(scene.proxy.address, head);
      request.socket.write(body);
      return request;
    });
    await until('requests are refused', async () => (await scene.refused()) > 0);
    assert.ok((await scene.held()) <= LIMIT + 4 * MIB);
    scene.etcd.first.resume();
    await until('all have their answers', () => requests.every(({ status }) => status !== ''));
    for (const request of requests) request[Symbol.dispose]();
    await scene.settled(t);
  });
});
