/**
 * A gRPC server that is not etcd: grpc-js with messages left as bytes and services that the proxy has never heard
 * of. What it sees of a call it tells within the answer, so that both directions can be compared.
 */
import {
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { VIA } from '../../src/rpc/via.ts';

/** Request metadata that each hop writes for itself. */
const ofTheHop = new Set([
  'user-agent',
  'host',
  'te',
  'grpc-accept-encoding',
  'accept-encoding',
  'grpc-encoding',
  // Each proxy on the way adds itself.
  VIA,
]);

const asIs = (bytes: Buffer): Buffer => bytes;

const definition = (path: string, requestStream: boolean, responseStream: boolean) => ({
  path,
  requestStream,
  responseStream,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
});

/** The paths of the foreign methods. */
export const foreign = {
  unary: '/foreign.v1.Foreign/Unary',
  clientStream: '/foreign.v1.Foreign/ClientStream',
  serverStream: '/foreign.v1.Foreign/ServerStream',
  bidi: '/foreign.v1.Foreign/Bidi',
} as const;

const service: ServiceDefinition = {
  unary: definition(foreign.unary, false, false),
  clientStream: definition(foreign.clientStream, true, false),
  serverStream: definition(foreign.serverStream, false, true),
  bidi: definition(foreign.bidi, true, true),
};

/** How a request tells the server to answer, as JSON in its metadata `x-answer-bin`. */
export interface Answer {
  /** The status to end with; OK without. */
  readonly code?: number;
  readonly message?: string;
  /** `grpc-status-details-bin` in base64. */
  readonly details?: string;
  /** Answer without response headers of its own and without messages. */
  readonly trailersOnly?: boolean;
  /** For server streams and unary calls: messages of these sizes instead of the request itself. */
  readonly sizes?: readonly number[];
}

/** The request metadata that came from the client, as text. */
function seen(metadata: Metadata): string {
  const entries = Object.keys(metadata.getMap())
    .sort()
    .filter((name) => !ofTheHop.has(name))
    .map((name) => [
      name,
      metadata.get(name).map((value) => (typeof value === 'string' ? value : value.toString('hex'))),
    ]);
  return JSON.stringify(entries);
}

function answerOf(metadata: Metadata): Answer {
  const [text] = metadata.get('x-answer-bin');
  return text === undefined ? {} : (JSON.parse(text.toString()) as Answer);
}

function headersFor(metadata: Metadata): Metadata {
  const headers = new Metadata();
  headers.set('x-seen-bin', Buffer.from(seen(metadata)));
  headers.add('x-header', 'first');
  headers.add('x-header', 'second');
  headers.set('x-bytes-bin', Buffer.from([0, 1, 254, 255]));
  return headers;
}

function trailersFor({ details }: Answer): Metadata {
  const trailers = new Metadata();
  trailers.set('x-trailer', 'at the end');
  trailers.set('x-end-bin', Buffer.from([255, 0]));
  if (details !== undefined) trailers.set('grpc-status-details-bin', Buffer.from(details, 'base64'));
  return trailers;
}

/** A message of a size whose bytes tell their place. */
export function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at + 4 <= size; at += 4) bytes.writeUInt32LE(at, at);
  return bytes;
}

const failureOf = (answer: Answer) => ({
  code: answer.code ?? 0,
  details: answer.message ?? '',
  metadata: trailersFor(answer),
});

const unary: handleUnaryCall<Buffer, Buffer> = (call, done) => {
  const answer = answerOf(call.metadata);
  if (answer.trailersOnly !== true) call.sendMetadata(headersFor(call.metadata));
  if (answer.code !== undefined) return done(failureOf(answer));
  const [size] = answer.sizes ?? [];
  done(null, size === undefined ? call.request : pattern(size), trailersFor(answer));
};

const clientStream: handleClientStreamingCall<Buffer, Buffer> = (call, done) => {
  const answer = answerOf(call.metadata);
  const parts: Buffer[] = [];
  call.sendMetadata(headersFor(call.metadata));
  call.on('data', (part: Buffer) => parts.push(part));
  call.on('end', () => {
    if (answer.code === undefined) done(null, Buffer.concat(parts), trailersFor(answer));
    else done(failureOf(answer));
  });
};

const serverStream: handleServerStreamingCall<Buffer, Buffer> = (call) => {
  const answer = answerOf(call.metadata);
  if (answer.trailersOnly !== true) {
    call.sendMetadata(headersFor(call.metadata));
    for (const size of answer.sizes ?? [call.request.length]) call.write(pattern(size));
  }
  if (answer.code === undefined) call.end(trailersFor(answer));
  else call.emit('error', failureOf(answer));
};

const bidi: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
  const answer = answerOf(call.metadata);
  call.sendMetadata(headersFor(call.metadata));
  call.on('data', (part: Buffer) => call.write(part));
  call.on('end', () => {
    if (answer.code === undefined) call.end(trailersFor(answer));
    else call.emit('error', failureOf(answer));
  });
};

/** A running foreign server. */
export interface ForeignServer extends Disposable {
  /** Where it listens, as `host:port`. */
  readonly address: string;
}

/** Starts the foreign server on a port that the system chooses. */
export async function startForeignServer(): Promise<ForeignServer> {
  const server = new Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
  server.addService(service, { unary, clientStream, serverStream, bidi });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
    if (error === null) resolve(port);
    else reject(error);
  });
  const address = `127.0.0.1:${await promise}`;
  return { address, [Symbol.dispose]: () => server.forceShutdown() };
}
