/** The engine against @grpc/grpc-js in both roles: unary and streaming calls, cancelling, metadata. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import { encodeHeaders, type Http2Stream } from '../../src/http2/index.ts';
import { connect, EngineServer, Exchange, field } from './support/exchange.ts';
import { TRAILERS } from './support/play.ts';

const OK = encodeHeaders([':status', '200', 'content-type', 'application/grpc']);
const same = (bytes: Buffer) => bytes;
const METHOD = '/test.Test/Echo';

/** gRPC messages as they are framed: a flag, four octets of length, the message. */
function message(text: string): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(Buffer.byteLength(text), 1);
  return Buffer.concat([head, Buffer.from(text)]);
}

class EchoCall extends Exchange {
  override onData(stream: Http2Stream, chunk: Buffer): void {
    super.onData(stream, chunk);
    if (this.bytes === chunk.length) stream.sendHeaders(OK);
    stream.sendData(chunk);
  }
  override onEnd(stream: Http2Stream): void {
    stream.sendTrailers(TRAILERS);
  }
}

test('server role: unary and bidirectional calls of grpc-js, and a cancelled one', async () => {
  const calls: EchoCall[] = [];
  await using server = new EngineServer((stream) => {
    const call = new EchoCall();
    calls.push(call);
    stream.listener = call;
  });
  const client = new grpc.Client(`127.0.0.1:${await server.listen()}`, grpc.credentials.createInsecure());
  const metadata = new grpc.Metadata();
  metadata.set('x-a', 'b');
  for (let i = 0; i < 20; i++) {
    const reply = await new Promise<Buffer | undefined>((resolve, reject) => {
      client.makeUnaryRequest(METHOD, same, same, Buffer.from(`number ${i}`), metadata, (error, value) => {
        if (error) reject(error);
        else resolve(value);
      });
    });
    assert.equal(reply?.toString(), `number ${i}`);
  }
  assert.equal(field(server.owners[0]?.streams[0]?.headers ?? [], 'x-a'), 'b');
  const stream = client.makeBidiStreamRequest(METHOD, same, same);
  const got: string[] = [];
  for (const text of ['a', 'b', 'c']) stream.write(Buffer.from(text));
  stream.end();
  for await (const part of stream) got.push(String(part));
  assert.deepEqual(got, ['a', 'b', 'c']);
  const cancelled = client.makeBidiStreamRequest(METHOD, same, same);
  cancelled.on('error', () => {});
  cancelled.write(Buffer.from('x'));
  await new Promise((resolve) => cancelled.once('data', resolve));
  cancelled.cancel();
  const last = calls.at(-1);
  await last?.done;
  // grpc-js cancels with RST_STREAM, of code CANCEL or NO_ERROR.
  assert.deepEqual([last?.events, last?.local], [['data', 'close'], false]);
  client.close();
});

test('client role: calls to a server of grpc-js', async () => {
  const server = new grpc.Server();
  const definition = {
    path: METHOD,
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  server.addService(
    { Echo: definition },
    {
      Echo(call: grpc.ServerDuplexStream<Buffer, Buffer>) {
        call.on('data', (part: Buffer) => call.write(part));
        call.on('end', () => call.end());
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
  const { owner, connection } = connect(port);
  const block = encodeHeaders([
    ':method',
    'POST',
    ':scheme',
    'http',
    ':path',
    METHOD,
    ':authority',
    'a',
    'te',
    'trailers',
    'content-type',
    'application/grpc',
  ]);
  const exchanges = Array.from({ length: 50 }, () => new Exchange());
  exchanges.forEach((exchange, i) => {
    const stream = connection.request(block, exchange, false);
    stream.sendData(message(`first ${i}`));
    stream.sendData(message(`second ${i}`), true);
  });
  await Promise.all(exchanges.map((exchange) => exchange.done));
  exchanges.forEach((exchange, i) => {
    assert.equal(exchange.code, 0);
    assert.deepEqual(exchange.body, Buffer.concat([message(`first ${i}`), message(`second ${i}`)]));
    assert.equal(field(exchange.trailers, 'grpc-status'), '0');
  });
  connection.drain();
  await owner.closed;
  server.forceShutdown();
});
