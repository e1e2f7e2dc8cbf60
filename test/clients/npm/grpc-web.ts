/** What pages with Google's `grpc-web` package do, here in Node.js. */
import assert from 'node:assert/strict';
import { create, type DescMethod, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import grpcWeb from 'grpc-web';
import { Browser } from '#gen/etcdconnect/v1/browser_pb.js';
import { KV, type RangeResponse } from '#gen/etcdserverpb/kv_pb.js';
import type { WatchResponse } from '#gen/etcdserverpb/watch_pb.js';
import { XmlHttpRequest } from './xml-http-request.ts';

Object.assign(globalThis, { XMLHttpRequest: XmlHttpRequest });

/** The forms of gRPC-Web that the client speaks; without one it takes text. */
export type Format = 'text' | 'binary' | undefined;

function descriptor(method: DescMethod) {
  const { MethodDescriptor, MethodType } = grpcWeb;
  const type = method.methodKind === 'unary' ? MethodType.UNARY : MethodType.SERVER_STREAMING;
  return new MethodDescriptor<Message, Message>(
    `/${method.parent.typeName}/${method.name}`,
    type,
    Object as unknown as new () => Message,
    Object as unknown as new () => Message,
    (message: Message) => toBinary(method.input, message),
    (bytes: Uint8Array) => fromBinary(method.output, bytes),
  );
}

class Client {
  readonly #client: grpcWeb.GrpcWebClientBase;
  readonly #url: string;

  constructor(url: string, format: Format) {
    this.#url = url;
    this.#client = new grpcWeb.GrpcWebClientBase(format === undefined ? {} : { format });
  }

  unary(
    method: DescMethod,
    request: Record<string, unknown>,
    metadata: grpcWeb.Metadata = {},
  ): Promise<Message> {
    const described = descriptor(method);
    const message = create(method.input, request);
    return this.#client.unaryCall(`${this.#url}${described.getName()}`, message, metadata, described);
  }

  stream(method: DescMethod, request: Record<string, unknown>): grpcWeb.ClientReadableStream<Message> {
    const described = descriptor(method);
    const message = create(method.input, request);
    return this.#client.serverStreaming(`${this.#url}${described.getName()}`, message, {}, described);
  }
}

const b = (text: string): Uint8Array => Buffer.from(text);

/** Reads, writes and refusals. */
export async function kv(url: string, format: Format): Promise<void> {
  const client = new Client(url, format);
  const key = b(`grpc-web/${format}`);
  for (const value of ['', '1', '22', '333', 'x'.repeat(100_000)]) {
    await client.unary(KV.method.put, { key, value: b(value) });
    const deadline = String(Date.now() + 30_000);
    const { kvs } = (await client.unary(KV.method.range, { key }, { deadline })) as RangeResponse;
    assert.equal(Buffer.from(kvs[0]?.value ?? b('none')).toString(), value);
  }
  await assert.rejects(client.unary(KV.method.range, {}), {
    code: 3,
    message: 'etcdserver: key is not provided',
  });
}

/** A watch, by the server stream that stands for it; messages come while it stays open. */
export async function watch(url: string): Promise<void> {
  const client = new Client(url, undefined);
  const key = b('grpc-web/watch');
  const stream = client.stream(Browser.method.watch, { key });
  const seen: string[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  stream.on('error', reject);
  stream.on('data', (message) => {
    const { created, events } = message as WatchResponse;
    if (created) seen.push('created');
    for (const { kv: pair } of events) seen.push(Buffer.from(pair?.value ?? b('none')).toString());
    const next = seen.length;
    if (next === 4) resolve();
    else client.unary(KV.method.put, { key, value: b(String(next)) }).catch(reject);
  });
  await promise;
  stream.cancel();
  assert.deepEqual(seen, ['created', '1', '2', '3']);
}
