/**
 * Services that the proxy does not know, served by a gRPC server that is not etcd: bytes, metadata, headers,
 * trailers, status and details must pass as they are, in all kinds of calls.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { AnySchema, anyPack, StringValueSchema } from '@bufbuild/protobuf/wkt';
import { REAL_MEMBERS, startProxy } from '../support/proxy.ts';
import { type CallOptions, type GrpcOutcome, RawGrpcClient } from '../support/raw-grpc.ts';
import { differences, showDifferences } from './compare.ts';
import { type Answer, foreign, pattern, startForeignServer } from './foreign-server.ts';
import { bytesText, type Plain } from './plain.ts';
import { grpcDetails } from './web-client.ts';

const limitMs = 60_000;
const mebibyte = 1024 * 1024;

/** One call: a path, what is sent, and how. */
interface ForeignCase {
  readonly name: string;
  readonly path: string;
  readonly messages: readonly Uint8Array[];
  readonly answer?: Answer;
  readonly metadata?: CallOptions['metadata'];
  /** What must be so on the direct side, lest both sides be wrong alike. */
  readonly expect: (outcome: GrpcOutcome) => boolean;
}

const text = 'überschritten: 100 % 世界\n"zu viel"';
const details = grpcDetails(9, text, [
  toBinary(AnySchema, anyPack(StringValueSchema, create(StringValueSchema, { value: 'a detail' }))),
]);
const paths = Object.entries(foreign);
const failure: Answer = { code: 9, message: text, details };
const failed = ({ code, message, details: found }: GrpcOutcome): boolean =>
  code === 9 && message === text && found === details;
const echoed = (sizes: readonly number[]) => (outcome: GrpcOutcome) =>
  outcome.code === 0 && outcome.messages.map(({ length }) => length).join() === sizes.join();

const kinds: readonly ForeignCase[] = paths.flatMap(([kind, path]) => [
  { name: `${kind}: one message`, path, messages: [pattern(100)], expect: echoed([100]) },
  { name: `${kind}: an empty message`, path, messages: [new Uint8Array()], expect: echoed([0]) },
  {
    name: `${kind}: code, message and details`,
    path,
    messages: [pattern(9)],
    answer: failure,
    expect: failed,
  },
  {
    name: `${kind}: metadata of all kinds`,
    path,
    messages: [pattern(1)],
    metadata: {
      'x-custom': ['one', 'two'],
      'x-bytes-bin': [Buffer.from([0, 128, 255]).toString('base64')],
      'x-empty': '',
      'x-text': 'spaces  and, commas; "quotes"',
      token: 'a token',
      hasleader: 'true',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      'grpc-trace-bin': Buffer.from([0, 0, 1]).toString('base64'),
    },
    expect: ({ headers }) => Buffer.from(headers?.['x-seen-bin']?.[0] ?? '', 'base64').includes('x-custom'),
  },
]);

const several = [0, 1, 5, 70_000, 3, mebibyte, 0];
const streams: readonly ForeignCase[] = [
  {
    name: 'client stream: several messages',
    path: foreign.clientStream,
    messages: several.map(pattern),
    expect: echoed([several.reduce((sum, size) => sum + size, 0)]),
  },
  { name: 'client stream: no message', path: foreign.clientStream, messages: [], expect: echoed([0]) },
  {
    name: 'bidi: several messages',
    path: foreign.bidi,
    messages: several.map(pattern),
    expect: echoed(several),
  },
  { name: 'bidi: no message', path: foreign.bidi, messages: [], expect: echoed([]) },
  {
    name: 'bidi: a thousand messages',
    path: foreign.bidi,
    messages: Array.from({ length: 1000 }, (_, index) => pattern(index)),
    expect: echoed(Array.from({ length: 1000 }, (_, index) => index)),
  },
  {
    name: 'server stream: several messages',
    path: foreign.serverStream,
    messages: [pattern(4)],
    answer: { sizes: several },
    expect: echoed(several),
  },
  {
    name: 'server stream: messages, then a failure',
    path: foreign.serverStream,
    messages: [pattern(4)],
    answer: { ...failure, sizes: [1, 2, 3] },
    expect: (outcome) => failed(outcome) && outcome.messages.length === 3,
  },
];

const sizes: readonly ForeignCase[] = [1, 16_384, 65_535, 65_536, 300_000, mebibyte].map((size) => ({
  name: `unary: ${size} bytes up and down`,
  path: foreign.unary,
  messages: [pattern(size)],
  expect: echoed([size]),
}));

const large: readonly ForeignCase[] = [foreign.unary, foreign.serverStream].map((path) => ({
  name: `${path}: 16 MiB down`,
  path,
  messages: [new Uint8Array()],
  answer: { sizes: [16 * mebibyte] },
  expect: echoed([16 * mebibyte]),
}));

const statuses: readonly ForeignCase[] = [
  ...Array.from({ length: 16 }, (_, index) => ({
    name: `unary: code ${index + 1}`,
    path: foreign.unary,
    messages: [pattern(1)],
    answer: { code: index + 1, message: `code ${index + 1}` },
    expect: ({ code }: GrpcOutcome) => code === index + 1,
  })),
  ...paths
    .filter(([kind]) => kind === 'unary' || kind === 'serverStream')
    .map(([kind, path]) => ({
      name: `${kind}: trailers only`,
      path,
      messages: [pattern(1)],
      answer: { ...failure, trailersOnly: true },
      expect: (outcome: GrpcOutcome) => failed(outcome) && outcome.headers === undefined,
    })),
];

/** Headers that each hop writes for itself: the time, the form of the framing, the encodings it can read. */
const ofTheHop = new Set(['date', 'content-type', 'grpc-accept-encoding', 'grpc-encoding']);

/** What a call brought back, without what is of one hop only. */
function plain(outcome: GrpcOutcome): Plain {
  const { messages, code, message, headers, trailers } = outcome;
  const without = (lists: typeof trailers): Plain =>
    Object.fromEntries(Object.entries(lists).filter(([name]) => !ofTheHop.has(name)));
  const shown = messages.map((bytes) => bytesText(bytes));
  return {
    messages: shown,
    code,
    message,
    details: outcome.details,
    headers: headers === undefined ? undefined : without(headers),
    trailers: without(trailers),
  };
}

describe('foreign services', () => {
  const held = new AsyncDisposableStack();
  const clients: RawGrpcClient[] = [];
  const zipping: RawGrpcClient[] = [];
  before(async () => {
    const server = held.use(await startForeignServer());
    const proxy = held.use(await startProxy({ endpoints: [server.address], flags: [REAL_MEMBERS] }));
    for (const address of [server.address, proxy.address]) {
      clients.push(held.use(new RawGrpcClient(address)));
      zipping.push(held.use(new RawGrpcClient(address, { 'grpc.default_compression_algorithm': 2 })));
    }
  });
  after(() => held.disposeAsync());

  async function compare(
    { path, messages, answer, metadata, expect }: ForeignCase,
    both: readonly RawGrpcClient[],
  ) {
    const asked = {
      ...metadata,
      ...(answer === undefined
        ? {}
        : { 'x-answer-bin': Buffer.from(JSON.stringify(answer)).toString('base64') }),
    };
    const call = (client: RawGrpcClient) => client.call(path, messages, { metadata: asked, limitMs });
    const [direct, proxied] = await Promise.all(both.map(call));
    assert.ok(direct !== undefined && proxied !== undefined);
    assert.ok(expect(direct), `not as expected, even direct: ${JSON.stringify(plain(direct)).slice(0, 500)}`);
    const found = differences(plain(direct), plain(proxied));
    assert.ok(found.length === 0, `not the same as direct\n${showDifferences(found)}`);
  }

  for (const one of [...kinds, ...streams, ...sizes, ...large, ...statuses])
    test(one.name, { timeout: 120_000 }, () => compare(one, clients));
  for (const one of [...kinds, ...streams, ...sizes])
    test(`gzip, ${one.name}`, { timeout: 120_000 }, () => compare(one, zipping));

  test('a method that the server does not have', async () => {
    const [direct, proxied] = await Promise.all(
      clients.map((client) => client.call('/foreign.v1.Foreign/No', [pattern(1)])),
    );
    assert.ok(direct !== undefined && proxied !== undefined);
    assert.equal(direct.code, 12);
    assert.deepEqual(plain(proxied), plain(direct));
  });
});
