/**
 * `@grpc/grpc-js` clients made from the generated descriptors: an HTTP/2 and gRPC implementation that shares no
 * code with the proxy.
 */

import type { MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  toBinary,
} from '@bufbuild/protobuf';
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';

/** A method of which the types of its messages are known. */
type Method<I extends DescMessage, O extends DescMessage> = DescMethod & {
  readonly input: I;
  readonly output: O;
};

const serialize =
  <I extends DescMessage>(schema: I) =>
  (message: MessageShape<I>): Buffer =>
    Buffer.from(toBinary(schema, message));

const deserialize =
  <O extends DescMessage>(schema: O) =>
  (bytes: Buffer): MessageShape<O> =>
    fromBinary(schema, bytes);

const pathOf = (method: DescMethod): string =>
  `/${(method.parent satisfies DescService).typeName}/${method.name}`;

/** A client of any service. */
export class GrpcJs implements Disposable {
  readonly #client: Client;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure());
  }

  /** Makes a unary call. Rejects with a `ServiceError`. */
  unary<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    message: MessageInitShape<I>,
    fields: Readonly<Record<string, string>> = {},
    options: { readonly deadline?: number } = {},
  ): Promise<MessageShape<O>> {
    const { promise, resolve, reject } = Promise.withResolvers<MessageShape<O>>();
    this.#client.makeUnaryRequest(
      pathOf(method),
      serialize(method.input),
      deserialize(method.output),
      create(method.input, message),
      Metadata.fromHttp2Headers(fields),
      options,
      (error: ServiceError | null, reply?: MessageShape<O>) => {
        if (reply === undefined) reject(error ?? new Error('neither error nor answer'));
        else resolve(reply);
      },
    );
    return promise;
  }

  /** Starts a stream on which only the server talks. */
  serverStream<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    message: MessageInitShape<I>,
  ): ClientReadableStream<MessageShape<O>> {
    return this.#client.makeServerStreamRequest(
      pathOf(method),
      serialize(method.input),
      deserialize(method.output),
      create(method.input, message),
    );
  }

  /** Starts a stream on which both sides talk. */
  bidi<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    fields: Readonly<Record<string, string>> = {},
  ): ClientDuplexStream<MessageShape<I>, MessageShape<O>> {
    return this.#client.makeBidiStreamRequest(
      pathOf(method),
      serialize(method.input),
      deserialize(method.output),
      Metadata.fromHttp2Headers(fields),
    );
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}
