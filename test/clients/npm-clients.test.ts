/**
 * Clients from npm that know nothing of the proxy: `@grpc/grpc-js`, `etcd3`, Google's `grpc-web`, and Connect's own clients
 * for Node.js and for browsers in each of their protocols.
 */
import { after, before, describe, test } from 'node:test';
import type { Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import * as web from '@connectrpc/connect-web';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import * as connect from './npm/connect.ts';
import * as etcd3 from './npm/etcd3.ts';
import * as grpcJs from './npm/grpc-js-flows.ts';
import * as grpcWeb from './npm/grpc-web.ts';
import { needsProxy, startTarget, type Target } from './target.ts';

/** Connect's transports, each with what it is called. */
const TRANSPORTS: readonly (readonly [name: string, make: (baseUrl: string) => Transport])[] = [
  ['connect-node: Connect, HTTP/1.1', (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '1.1' })],
  ['connect-node: Connect, HTTP/2', (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '2' })],
  [
    'connect-node: Connect, HTTP/2, binary, GET, gzip',
    (baseUrl) =>
      createConnectTransport({
        baseUrl,
        httpVersion: '2',
        useBinaryFormat: true,
        useHttpGet: true,
        compressMinBytes: 0,
      }),
  ],
  ['connect-node: gRPC-Web, HTTP/1.1', (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: '1.1' })],
  ['connect-node: gRPC-Web, HTTP/2', (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: '2' })],
  ['connect-web: Connect', (baseUrl) => web.createConnectTransport({ baseUrl })],
  [
    'connect-web: Connect, binary, GET',
    (baseUrl) => web.createConnectTransport({ baseUrl, useBinaryFormat: true, useHttpGet: true }),
  ],
  ['connect-web: gRPC-Web', (baseUrl) => web.createGrpcWebTransport({ baseUrl })],
];

describe('npm clients', () => {
  let etcd: EtcdCluster;
  let target: Target;
  before(async () => {
    etcd = await startEtcd({ bcryptCost: 4 });
    target = await startTarget(etcd);
  });
  after(async () => {
    await target?.[Symbol.asyncDispose]();
    await etcd?.stop();
  });

  describe('@grpc/grpc-js', () => {
    test('kv', () => grpcJs.kv(target.address));
    test('errors', () => grpcJs.errors(target.address));
    test('watch', () => grpcJs.watch(target.address));
    test('lease and keep-alive', () => grpcJs.lease(target.address));
    test('lock and deadline', () => grpcJs.lock(target.address));
    test('snapshot', () => grpcJs.snapshot(target.address));
    test('health', { skip: needsProxy }, () => grpcJs.health(target.address));
  });

  describe('etcd3', () => {
    test('kv and transactions', () => etcd3.kv(target.address));
    test('lease with keep-alive', () => etcd3.lease(target.address));
    test('watch', () => etcd3.watch(target.address));
    test('lock', () => etcd3.lock(target.address));
    test('election', () => etcd3.election(target.address));
    test('users', () => etcd3.users(target.address));
  });

  describe('grpc-web', { skip: needsProxy }, () => {
    test('kv and errors, in the default form', () => grpcWeb.kv(target.url, undefined));
    test('kv and errors, as text', () => grpcWeb.kv(target.url, 'text'));
    test('kv and errors, binary', () => grpcWeb.kv(target.url, 'binary'));
    test('watch', () => grpcWeb.watch(target.url));
  });

  describe('connect-node: gRPC', () => {
    const transport = () => createGrpcTransport({ baseUrl: target.url });
    test('kv and errors', () => connect.kv(transport()));
    test('lease', () => connect.lease(transport()));
    test('watch on a bidirectional stream', () => connect.bidiWatch(transport()));
    test('server stream', { skip: needsProxy }, () => connect.browserWatch(transport()));
  });

  for (const [name, make] of TRANSPORTS) {
    describe(name, { skip: needsProxy }, () => {
      test('kv and errors', () => connect.kv(make(target.url)));
      test('lease', () => connect.lease(make(target.url)));
      test('renewal', () => connect.keepAliveOnce(make(target.url)));
      test('watch', () => connect.browserWatch(make(target.url)));
      test('snapshot', () => connect.snapshot(make(target.url)));
    });
  }
});
