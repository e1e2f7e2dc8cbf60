/** A client that does what steps say, through any door, and what it then says of what it was shown. */
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import {
  RangeRequest_SortOrder,
  type RangeRequestSchema,
  type RequestOpSchema,
  type TxnRequestSchema,
} from '#gen/etcdserverpb/kv_pb.js';
import { type OneRequestMethod, rpc } from '../differential/rpc.ts';
import { WebClient } from '../differential/web-client.ts';
import { collect, type GrpcOutcome, RawGrpcClient } from '../support/raw-grpc.ts';
import type { Actor, Door, Operation, Read, Txn } from './steps.ts';
import { bytesOf } from './world.ts';

/** An answer: its messages, or its refusal. */
export interface Answer<O extends DescMessage> {
  readonly outcome: GrpcOutcome;
  readonly replies: readonly MessageShape<O>[];
}

/** The clients of one actor. */
export class Client implements Disposable {
  readonly actor: Actor;
  readonly grpc: RawGrpcClient;
  /** Everything that was shown to it, as bytes in text. */
  readonly shown: string[] = [];
  readonly #web = new Map<Door, WebClient>();

  constructor(actor: Actor, address: string) {
    this.actor = actor;
    this.grpc = new RawGrpcClient(address);
    const url = `http://${address}`;
    this.#web.set('grpc-web', new WebClient(url, 'grpc-web', '1.1'));
    this.#web.set('connect-json', new WebClient(url, 'connect-json', '2'));
    this.#web.set('connect-proto', new WebClient(url, 'connect-proto', '1.1'));
  }

  /** By which its values are known. */
  get mark(): string {
    return markOf(this.actor);
  }

  async ask<I extends DescMessage, O extends DescMessage>(
    door: Door,
    method: OneRequestMethod<I, O>,
    request: MessageInitShape<I>,
    timeoutMs = 20_000,
  ): Promise<Answer<O>> {
    const asked = rpc(method, request, { timeoutMs });
    const web = this.#web.get(door);
    const outcome =
      web === undefined
        ? await this.grpc.call(asked.path, [asked.request], { timeoutMs })
        : await collect(web.open(asked));
    this.note(outcome);
    return { outcome, replies: outcome.messages.map((message) => fromBinary(method.output, message)) };
  }

  note({ messages, message, details, headers, trailers }: GrpcOutcome): void {
    this.shown.push(...messages.map((bytes) => Buffer.from(bytes).toString('latin1')));
    this.shown.push(message, details ?? '', JSON.stringify([headers, trailers]));
  }

  /** The first message of a stream that goes on. */
  async first(path: string, request: Uint8Array): Promise<Uint8Array | undefined> {
    const call = this.grpc.open(path, { timeoutMs: 20_000 });
    call.send(request);
    call.halfClose();
    const message = await call.next();
    if (message !== undefined) this.shown.push(Buffer.from(message).toString('latin1'));
    call.cancel();
    return message;
  }

  [Symbol.dispose](): void {
    this.grpc.close();
    for (const web of this.#web.values()) web[Symbol.dispose]();
  }
}

/** What every value of an actor has in it, and nothing else. */
export function markOf(actor: Actor): string {
  return { 'a/': '<of-one>', a0: '<of-two>', '': '<of-none>' }[actor];
}

/** A read as a request. */
export function readOf({ key, end, what, serializable }: Read): MessageInitShape<typeof RangeRequestSchema> {
  return {
    key: bytesOf(key),
    rangeEnd: bytesOf(end),
    serializable,
    keysOnly: what === 'keys',
    countOnly: what === 'count',
    ...(what === 'first' && { limit: 1n, sortOrder: RangeRequest_SortOrder.DESCEND }),
  };
}

/** A transaction as a request. */
export function txnOf(txn: Txn, mark: string): MessageInitShape<typeof TxnRequestSchema> {
  return {
    // Version 0 has what is not there, a greater one what is.
    compare: txn.compare.map(({ key, end, exists }) => ({
      key: bytesOf(key),
      rangeEnd: bytesOf(end),
      result: exists ? 1 : 0,
      targetUnion: { case: 'version' as const, value: 0n },
    })),
    success: txn.success.map((operation) => operationOf(operation, mark)),
    failure: txn.failure.map((operation) => operationOf(operation, mark)),
  };
}

function operationOf(operation: Operation, mark: string): MessageInitShape<typeof RequestOpSchema> {
  switch (operation.op) {
    case 'read':
      return { request: { case: 'requestRange', value: readOf(operation.read) } };
    case 'put':
      return {
        request: {
          case: 'requestPut',
          value: { key: bytesOf(operation.key), value: bytesOf(mark), prevKv: true },
        },
      };
    case 'delete': {
      const { key, end } = operation.span;
      return {
        request: {
          case: 'requestDeleteRange',
          value: { key: bytesOf(key), rangeEnd: bytesOf(end), prevKv: true },
        },
      };
    }
    case 'txn':
      return { request: { case: 'requestTxn', value: txnOf(operation.txn, mark) } };
  }
}

/** The bytes of a message. */
export function encoded<Desc extends DescMessage>(schema: Desc, value: MessageInitShape<Desc>): Uint8Array {
  return toBinary(schema, create(schema, value));
}
