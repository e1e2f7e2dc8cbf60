/** What comes with a request of etcd's gateway: a deadline, and messages in JSON. */
import type { IncomingMessage } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { DescMethod } from '@bufbuild/protobuf';
import { Code, RpcError, tooLargeForEtcd } from '../../rpc/status.ts';
import { parseTimeout } from '../../rpc/timeout.ts';
import { MAX_TIMER_MS } from '../../rpc/timer.ts';
import { GrownBytes } from '../grown-bytes.ts';
import { firstMessage } from '../json-message.ts';
import { BadJson } from '../json-scalars.ts';
import { JsonValues } from '../json-values.ts';
import { MessageDecoder } from '../message-decoder.ts';
import { JSON_EXPANSION, LARGE_BYTES } from '../options.ts';
import type { WebRequest } from '../request-memory.ts';
import { pathOf } from '../schemas.ts';

/** As Go reads numbers: with a sign, and of any length. */
const TIMEOUT = /^([+-]?)(\d+)([HMSmun])$/;

/** So much of a body is read in one turn of the event loop: one with many small values would take all of them. Bytes. */
const TURN_BYTES = 64 << 10;

/** What a value takes beside its bytes, and a part of a body too, counted as bytes. */
const EACH_BYTES = 512;

/** Reads large requests for all of them. */
const decoder = new MessageDecoder();

/** The client's time, in milliseconds; undefined: any. An error: it says none. */
export function timeoutOf({ headers }: IncomingMessage): number | undefined | RpcError {
  const text = String(headers['grpc-timeout'] ?? '');
  if (text === '') return undefined;
  const [, sign, digits, unit] = TIMEOUT.exec(text) ?? [];
  if (unit === undefined) return new RpcError(Code.INVALID_ARGUMENT, `invalid grpc-timeout: ${text}`);
  // The gateway takes it for none.
  if (Number(digits) === 0) return undefined;
  const timeout = sign === '-' ? 0 : Number(digits) * (parseTimeout(`1${unit}`) ?? 0);
  return timeout > MAX_TIMER_MS ? undefined : timeout;
}

/** Reads the messages of a method's requests. */
export class GatewayReader {
  readonly #method: DescMethod;
  readonly #maxBytes: number;
  /** Is aborted when the client goes. */
  readonly #signal: () => AbortSignal;
  readonly #client: object;

  /**
   * @param maxBytes the most that a message may be in its protobuf form
   * @param client whose requests they are, such as its connection: clients take turns with large ones
   */
  constructor(method: DescMethod, maxBytes: number, signal: () => AbortSignal, client: object) {
    this.#method = method;
    this.#maxBytes = maxBytes;
    this.#signal = signal;
    this.#client = client;
  }

  /** The only message of a client whose small body is there. @throws RpcError */
  whole(body: Uint8Array): Uint8Array {
    this.#check(body.length, this.#maxBytes * JSON_EXPANSION);
    const message = this.#readSmall(body);
    this.#check(message.length, this.#maxBytes);
    return message;
  }

  /** The only message of a client: the first JSON value of a body. @throws RpcError (rejects) */
  async first(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
    const bytes = new GrownBytes();
    for await (const part of body) {
      bytes.append(part);
      this.#check(bytes.length, this.#maxBytes * JSON_EXPANSION);
    }
    return await this.#read(bytes.take());
  }

  /**
   * All messages of a client, one for each JSON value.
   * @param held where it is counted what is held of the body, until its messages are taken
   * @throws RpcError (rejects)
   */
  async *all(body: AsyncIterable<Uint8Array>, held: WebRequest | undefined): AsyncGenerator<Uint8Array> {
    const values = new JsonValues();
    const turn = new Turn();
    let counted = 0;
    try {
      for await (const piece of piecesOf(body)) {
        counted += piece.length;
        if (turn.isOver(piece)) await nextTurn();
        for (const value of values.push(piece)) {
          if (turn.isOver(value)) await nextTurn();
          yield await this.#read(value);
        }
        held?.passed(counted - values.pending);
        counted = values.pending;
        this.#check(counted, this.#maxBytes * JSON_EXPANSION);
      }
      const rest = values.rest();
      if (rest !== undefined) yield await this.#read(rest);
    } finally {
      held?.passed(counted);
    }
  }

  async #read(json: Uint8Array): Promise<Uint8Array> {
    const message = await (json.length > LARGE_BYTES ? this.#readLarge(json) : this.#readSmall(json));
    this.#check(message.length, this.#maxBytes);
    return message;
  }

  #readSmall(json: Uint8Array): Uint8Array {
    try {
      return firstMessage(this.#method.input, json);
    } catch (error) {
      // Objects within objects without end are more than the stack takes.
      if (error instanceof BadJson || error instanceof RangeError)
        throw new RpcError(Code.INVALID_ARGUMENT, error.message);
      throw error;
    }
  }

  #readLarge(json: Uint8Array): Promise<Uint8Array> {
    // A copy that owns its memory, so that it can go to another thread.
    const bytes = new Uint8Array(json);
    const question = { path: pathOf(this.#method), form: 'etcd-json', bytes } as const;
    return decoder.decode(this.#client, question, this.#signal());
  }

  #check(size: number, most: number): void {
    if (size > most) throw new RpcError(Code.RESOURCE_EXHAUSTED, tooLargeForEtcd(size, most));
  }
}

/** How much of a body was read in this turn of the event loop. */
class Turn {
  #left = TURN_BYTES;

  /** Whether these bytes should be read in the next one. */
  isOver({ length }: Uint8Array): boolean {
    this.#left -= length + EACH_BYTES;
    if (this.#left > 0) return false;
    this.#left = TURN_BYTES;
    return true;
  }
}

/** A body in pieces that are not too large for one turn. */
async function* piecesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const part of body)
    for (let at = 0; at < part.length; at += TURN_BYTES) yield part.subarray(at, at + TURN_BYTES);
}
