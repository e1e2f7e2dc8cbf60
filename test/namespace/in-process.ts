/** Services of this process before a real etcd, and a client of them without a door between. */
import {
  create,
  type DescMessage,
  type DescMethodBiDiStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { NamespacedServices } from '../../src/namespace/namespaced.ts';
import type { ServerStream, ServerStreamListener, Services } from '../../src/rpc/contract.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { NO_STREAM_LISTENER } from '../../src/rpc/no-stream-listener.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { RpcError, type Status } from '../../src/rpc/status.ts';
import { ServiceTable } from '../../src/services/table.ts';
import { connect } from '../reads/clients.ts';
import { methodOf } from '../support/methods.ts';
import { until } from '../support/until.ts';

/** What came of a call. */
export type Outcome<O extends DescMessage> =
  | { readonly reply: MessageShape<O> }
  | { readonly code: number; readonly message: string };

/** Services that forward everything, and what is asked of them. */
export class InProcess implements Disposable {
  readonly #close: () => void;
  readonly #services: Services;

  /** @param prefix of the namespace; without one the keys are etcd's */
  constructor(address: string, prefix?: Uint8Array) {
    const cluster = connect(address);
    this.#close = () => cluster.close();
    const table = new ServiceTable(cluster);
    this.#services = prefix === undefined ? table : new NamespacedServices(table, prefix);
  }

  /** Calls a method; one that fails is an outcome too. */
  async call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I> | Uint8Array,
  ): Promise<Outcome<O>> {
    const { path } = methodOf(method);
    const handler = this.#services.unary(path);
    if (handler === undefined) throw new Error(`${path} is not unary`);
    const bytes =
      request instanceof Uint8Array ? request : toBinary(method.input, create(method.input, request));
    try {
      const call = new OwnCall(methodOf(method), NO_METADATA, performance.now() + 30_000);
      return { reply: fromBinary(method.output, await handler(bytes, call)) };
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      return { code: error.code, message: error.message };
    }
  }

  /** The same, where it must succeed. */
  async ask<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    const outcome = await this.call(method, request);
    if ('code' in outcome) throw new Error(`${method.name}: ${outcome.code} ${outcome.message}`);
    return outcome.reply;
  }

  /** Opens a stream of messages both ways. */
  open<I extends DescMessage, O extends DescMessage>(method: DescMethodBiDiStreaming<I, O>): Stream<I, O> {
    const stream = new Stream(method);
    const call = new OwnCall(methodOf(method), NO_METADATA, Number.POSITIVE_INFINITY);
    this.#services.stream(methodOf(method).path)(stream, call);
    return stream;
  }

  [Symbol.dispose](): void {
    this.#close();
  }
}

/** The client's side of a stream. */
export class Stream<I extends DescMessage, O extends DescMessage> implements ServerStream {
  listener: ServerStreamListener = NO_STREAM_LISTENER;
  readonly received: MessageShape<O>[] = [];
  status: Status | undefined;
  readonly #method: DescMethodBiDiStreaming<I, O>;

  constructor(method: DescMethodBiDiStreaming<I, O>) {
    this.#method = method;
  }

  say(request: MessageInitShape<I>): void {
    const { input } = this.#method;
    this.listener.onMessage(toBinary(input, create(input, request)));
  }

  /** Waits until what was received so far will do. */
  async wait(what: string, enough: (received: readonly MessageShape<O>[]) => boolean): Promise<void> {
    await until(what, () => {
      if (this.status !== undefined) throw new Error(`${what}: the stream ended: ${this.status.message}`);
      return enough(this.received);
    });
  }

  send(message: Uint8Array): boolean {
    this.received.push(fromBinary(this.#method.output, message));
    return true;
  }

  sendJoined(head: Uint8Array, tail: Uint8Array): boolean {
    return this.send(Buffer.concat([head, tail]));
  }

  end(status: Status): void {
    this.status = status;
  }

  sendHeaders(): void {
    // There are none to look at.
  }

  hold(): void {
    // Nobody counts here.
  }

  pause(): void {
    // The test says one thing after the other.
  }

  resume(): void {
    // See pause.
  }
}
