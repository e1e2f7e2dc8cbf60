/** One request, and the calls that it takes: each has the request's client, and ends when that goes. */
import type { IncomingMessage } from 'node:http';
import {
  create,
  type DescField,
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Metadata } from '../../rpc/metadata.ts';
import { OwnCall } from '../../rpc/own-call.ts';
import { Code, RpcError, tooLargeForEtcd } from '../../rpc/status.ts';
import { WebCall } from '../call.ts';
import { GrownBytes } from '../grown-bytes.ts';
import type { WebServerOptions } from '../options.ts';
import { badBinary, prefixedMetadata } from '../prefixed-metadata.ts';
import { bodyOf } from '../request-body.ts';
import type { RequestMemory } from '../request-memory.ts';
import { pathOf } from '../schemas.ts';
import { type Sender, senderOf } from '../sender.ts';
import { type Apart, takeApart } from './elements.ts';
import { type KeyTarget, readTarget } from './target.ts';

/** How long etcd may take over what is done for a client whether or not it waits. Milliseconds. */
const ASIDE_MS = 10_000;

/** What the services are, and their bounds. */
export interface KeyServing {
  readonly options: WebServerOptions;
  readonly memory: RequestMemory;
  readonly maxUnreadBytes: number;
  readonly heartbeatMs: number;
}

/** A long answer, and the call that it came from. */
export interface Long<O extends DescMessage> extends Apart<O> {
  readonly call: WebCall;
}

/** A request for keys. */
export class KeyRequest {
  readonly serving: KeyServing;
  readonly reply: FastifyReply;
  readonly raw: IncomingMessage;
  readonly target: KeyTarget;
  readonly #sender: Sender;
  readonly #metadata: Metadata;
  readonly #calls = new Set<WebCall>();
  #gone = false;

  /** @throws RpcError when its target names no key, or its metadata is none */
  constructor(serving: KeyServing, { raw, originalUrl }: FastifyRequest, reply: FastifyReply) {
    this.serving = serving;
    this.reply = reply;
    this.raw = raw;
    this.target = readTarget(originalUrl);
    const wrong = badBinary(raw.rawHeaders);
    if (wrong !== undefined) throw wrong;
    this.#sender = senderOf(raw);
    this.#metadata = prefixedMetadata(raw.rawHeaders);
    this.#gone = reply.raw.destroyed;
    reply.raw.once('close', () => this.#close());
  }

  /** The whole body. @throws RpcError (rejects) when it is more than a message to etcd may be, or its client goes */
  async body(): Promise<Uint8Array> {
    const { maxRequestBytes } = this.serving.options;
    const bytes = new GrownBytes();
    for await (const part of bodyOf(this.raw, this.serving.memory.of(this.raw))) {
      bytes.append(part);
      checkSize(bytes.length, maxRequestBytes);
    }
    return bytes.take();
  }

  /** Asks a service. @throws RpcError (rejects) */
  async ask<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    return await this.#ask(method, request, (message) => fromBinary(method.output, message));
  }

  /** Asks a service whose answer is long for one list, whose elements are read with {@link Long.call}. @throws RpcError (rejects) */
  async askLong<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    list: DescField,
  ): Promise<Long<O>> {
    return await this.#ask(method, request, async (message, call) => ({
      ...(await takeApart(method.output, list, message)),
      call,
    }));
  }

  /** A call to a service that answers with a stream. */
  stream(method: DescMethodStreaming): WebCall {
    return this.#begin(pathOf(method));
  }

  /** Asks a service for the client whether or not that waits for it, within {@link ASIDE_MS}. @throws RpcError (rejects) */
  async askAside<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    const { services } = this.serving.options;
    const path = pathOf(method);
    const call = new OwnCall(
      services.method(path),
      this.#metadata,
      performance.now() + ASIDE_MS,
      this.#sender.client,
    );
    const answer = services.unary(path)?.(encode(method.input, request), call);
    if (answer === undefined) throw new RpcError(Code.UNIMPLEMENTED, `unknown method ${method.name}`);
    const message = await call.inTime(answer);
    try {
      return fromBinary(method.output, message);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      throw new RpcError(Code.INTERNAL, `etcd-connect-proxy: etcd's reply is no ${method.output.typeName}`);
    }
  }

  async #ask<I extends DescMessage, O extends DescMessage, T>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    read: (message: Uint8Array, call: WebCall) => T | Promise<T>,
  ): Promise<T> {
    const { services, maxRequestBytes } = this.serving.options;
    const call = this.#begin(pathOf(method));
    try {
      const message = encode(method.input, request);
      checkSize(message.length, maxRequestBytes);
      const reply = await call.ask(services, () => message);
      call.hold(reply.length);
      const answer = await readReply(call, method.output, () => read(reply, call));
      call.onSent();
      call.finish(Code.OK);
      return answer;
    } catch (thrown) {
      throw call.fail(thrown);
    }
  }

  #begin(path: string): WebCall {
    const { services, observer } = this.serving.options;
    const call = new WebCall(services.method(path), this.#sender, this.#metadata, observer);
    call.begin(undefined);
    if (this.#gone) call.abandon();
    else this.#calls.add(call);
    return call;
  }

  #close(): void {
    this.#gone = true;
    for (const call of this.#calls) {
      call.abandon();
      call.close();
    }
  }
}

/** Reads what came from etcd. @throws RpcError (rejects) when it is not what it has to be */
export async function readReply<T>(
  call: WebCall,
  { typeName }: DescMessage,
  read: () => T | Promise<T>,
): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof Error) throw call.malformedReply(typeName);
    throw error;
  }
}

/** Text that is made of what came from etcd. @throws RpcError when that is not what it has to be */
export function* readText(
  call: WebCall,
  { typeName }: DescMessage,
  text: Iterable<string>,
): Generator<string> {
  try {
    yield* text;
  } catch (error) {
    if (error instanceof Error) throw call.malformedReply(typeName);
    throw error;
  }
}

function encode<I extends DescMessage>(schema: I, request: MessageInitShape<I>): Uint8Array {
  return toBinary(schema, create(schema, request));
}

function checkSize(size: number, most: number): void {
  if (size > most) throw new RpcError(Code.RESOURCE_EXHAUSTED, tooLargeForEtcd(size, most));
}
