/**
 * The protocols for browsers and HTTP clients, gRPC-Web and Connect, by the transports of connect-node, seen the
 * same way as gRPC calls are.
 */
import { Agent } from 'node:http';
import {
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from '@connectrpc/connect-node';
import { type GrpcEnd, Inbox, type MetadataLists, type OpenCall } from '../support/raw-grpc.ts';
import type { Rpc } from './rpc.ts';

/** What the web clients can speak. */
export const webProtocols = ['grpc-web', 'connect-json', 'connect-proto'] as const;
export type WebProtocol = (typeof webProtocols)[number];
export type HttpVersion = '1.1' | '2';

/** `google.rpc.Status` in base64, as far as its details go, which is how gRPC carries them. */
function detailsText(details: readonly { readonly type: string; readonly value: Uint8Array }[]) {
  if (details.length === 0) return undefined;
  return details.map(({ type, value }) => `${type} ${Buffer.from(value).toString('hex')}`).join(', ');
}

/** The details within a `grpc-status-details-bin`, in the same form. */
export function detailsOfGrpc(base64: string | undefined): string | undefined {
  if (base64 === undefined) return undefined;
  const reader = new BinaryReader(Buffer.from(base64, 'base64'));
  const details: { readonly type: string; readonly value: Uint8Array }[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 3 && wireType === WireType.LengthDelimited) {
      const { typeUrl, value } = fromBinary(AnySchema, reader.bytes());
      details.push({ type: typeUrl.slice(typeUrl.lastIndexOf('/') + 1), value });
    } else reader.skip(wireType, field);
  }
  return detailsText(details);
}

/** A `google.rpc.Status` as a server sends it, in base64. */
export function grpcDetails(code: number, text: string, details: readonly Uint8Array[]): string {
  const writer = new BinaryWriter();
  writer.uint32((1 << 3) | WireType.Varint).int32(code);
  writer.uint32((2 << 3) | WireType.LengthDelimited).string(text);
  for (const detail of details) writer.uint32((3 << 3) | WireType.LengthDelimited).bytes(detail);
  return Buffer.from(writer.finish()).toString('base64');
}

function toLists(headers: Headers): MetadataLists {
  return Object.fromEntries([...headers].map(([name, value]) => [name, value.split(', ')]));
}

function failureOf(error: unknown): GrpcEnd {
  const { code, rawMessage, metadata, details } = ConnectError.from(error);
  const incoming = details.flatMap((detail) => ('type' in detail ? [detail] : []));
  return { code, message: rawMessage, details: detailsText(incoming), trailers: toLists(metadata) };
}

async function* once<T>(value: T): AsyncIterable<T> {
  yield value;
}

/** A call over one of the web protocols. */
class WebCall implements OpenCall {
  headers: MetadataLists | undefined;
  readonly end: Promise<GrpcEnd>;
  private readonly inbox = new Inbox();
  private readonly aborter = new AbortController();

  constructor(transport: Transport, rpc: Rpc) {
    const ended =
      rpc.method?.methodKind === 'unary' ? this.unary(transport, rpc) : this.stream(transport, rpc);
    this.end = ended.catch(failureOf).finally(() => this.inbox.close());
  }

  private async unary(transport: Transport, { method, request, options }: Rpc): Promise<GrpcEnd> {
    const unary = method as DescMethodUnary<DescMessage, DescMessage>;
    const input: MessageShape<DescMessage> = fromBinary(unary.input, request);
    const headers = headersOf(options);
    const reply = await transport.unary(unary, this.aborter.signal, options.timeoutMs, headers, input);
    this.headers = toLists(reply.header);
    this.inbox.put(toBinary(unary.output, reply.message));
    return { code: 0, message: '', details: undefined, trailers: toLists(reply.trailer) };
  }

  private async stream(transport: Transport, { method, request, options }: Rpc): Promise<GrpcEnd> {
    const streaming = method as DescMethodServerStreaming<DescMessage, DescMessage>;
    const input = once(fromBinary(streaming.input, request));
    const headers = headersOf(options);
    const reply = await transport.stream(streaming, this.aborter.signal, options.timeoutMs, headers, input);
    this.headers = toLists(reply.header);
    for await (const message of reply.message) this.inbox.put(toBinary(streaming.output, message));
    return { code: 0, message: '', details: undefined, trailers: toLists(reply.trailer) };
  }

  next(limitMs?: number): Promise<Uint8Array | undefined> {
    return this.inbox.take(limitMs);
  }

  cancel(): void {
    this.aborter.abort(new ConnectError('cancelled by the test', Code.Canceled));
  }
}

function headersOf({ metadata = {} }: Rpc['options']): Headers {
  const headers = new Headers();
  for (const [name, values] of Object.entries(metadata)) {
    for (const value of typeof values === 'string' ? [values] : values) headers.append(name, value);
  }
  return headers;
}

/** A client of one web protocol over one version of HTTP. */
export class WebClient implements Disposable {
  private readonly transport: Transport;
  private readonly closeConnections: () => void;

  constructor(baseUrl: string, protocol: WebProtocol, httpVersion: HttpVersion) {
    const agent = new Agent({ keepAlive: true });
    const sessionManager = new Http2SessionManager(baseUrl);
    const http =
      httpVersion === '1.1'
        ? { baseUrl, httpVersion, nodeOptions: { agent } }
        : { baseUrl, httpVersion, sessionManager };
    this.transport =
      protocol === 'grpc-web'
        ? createGrpcWebTransport(http)
        : createConnectTransport({ ...http, useBinaryFormat: protocol === 'connect-proto' });
    this.closeConnections = () => {
      agent.destroy();
      sessionManager.abort();
    };
  }

  /** Makes a call of a method that takes one message. */
  open(rpc: Rpc): OpenCall {
    return new WebCall(this.transport, rpc);
  }

  [Symbol.dispose](): void {
    this.closeConnections();
  }
}
