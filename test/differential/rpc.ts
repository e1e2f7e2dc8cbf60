/** How the cases write calls down: an RPC, what it is asked, and how. */
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodBiDiStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf';
import { EmptySchema } from '@bufbuild/protobuf/wkt';
import type { CallOptions } from '../support/raw-grpc.ts';

/** A status. */
export interface KnownStatus {
  readonly code: number;
  readonly message: string;
}

/** A status that is known to differ between etcd and the proxy; etcd's own may depend on the release. */
export interface DocumentedDifference {
  readonly direct: readonly KnownStatus[];
  readonly proxy: readonly KnownStatus[];
}

/** How a call is made, and how its answer is looked at. */
export interface RpcOptions extends CallOptions {
  /** Only gRPC can carry the call, such as bytes that are no message. */
  readonly grpcOnly?: boolean;
  /** Codes that etcd itself answers by chance; any of them counts as the same, whatever its message. */
  readonly anyCode?: readonly number[];
  readonly documented?: DocumentedDifference;
}

/** One call of one message. */
export interface Rpc {
  readonly path: string;
  /** The method; where there is none of that path, one that stands in for it. */
  readonly method: DescMethod | undefined;
  readonly input: DescMessage;
  readonly output: DescMessage;
  readonly request: Uint8Array;
  readonly options: RpcOptions;
}

/** Methods that take one message. */
export type OneRequestMethod<I extends DescMessage, O extends DescMessage> =
  | DescMethodUnary<I, O>
  | DescMethodServerStreaming<I, O>;

/** The path of a method. */
export function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** A call of a method. */
export function rpc<I extends DescMessage, O extends DescMessage>(
  method: OneRequestMethod<I, O>,
  request?: MessageInitShape<I>,
  options: RpcOptions = {},
): Rpc {
  return rawRpc(method, toBinary(method.input, create(method.input, request)), options);
}

/** A call of a method with bytes that need not be a message. */
export function rawRpc(method: DescMethod, request: Uint8Array, options: RpcOptions = {}): Rpc {
  return { path: pathOf(method), method, input: method.input, output: method.output, request, options };
}

/** A call of a path that no descriptor describes. */
export function unknownRpc(path: string, request: Uint8Array, options: RpcOptions = {}): Rpc {
  const schemas = { input: EmptySchema, output: EmptySchema };
  return { path, method: undefined, ...schemas, request, options: { ...options, grpcOnly: true } };
}

/** A message for a stream. */
export function message<I extends DescMessage>(
  method: DescMethodBiDiStreaming<I, DescMessage>,
  request: MessageInitShape<I>,
): Uint8Array {
  return toBinary(method.input, create(method.input, request));
}

/** The bytes of a text. */
export function b(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A key as `key` of a request. */
export function at(key: string): { readonly key: Uint8Array } {
  return { key: b(key) };
}

/** All keys that begin with a text, as `key` and `rangeEnd` of a request. */
export function under(prefix: string): { readonly key: Uint8Array; readonly rangeEnd: Uint8Array } {
  const end = b(prefix);
  const last = end.length - 1;
  end[last] = (end[last] ?? 0) + 1;
  return { key: b(prefix), rangeEnd: end };
}

/** The range end that means all keys from the key on; as a key together with it, all keys. */
export const zero = new Uint8Array(1);
