/** The body of a request on its way to a member. */
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Code, RpcError } from '../../rpc/status.ts';
import { GrownBytes } from '../grown-bytes.ts';
import { bodyOf } from '../request-body.ts';
import type { WebRequest } from '../request-memory.ts';
import type { Fields } from './headers.ts';

/** Bodies of requests that may be sent again are kept up to this. etcd looks at none. Bytes. */
export const KEPT_BYTES = 64 << 10;

/** A body, and the fields that say how long it is. */
export interface Body {
  readonly framing: Fields;
  /** Whether it can be sent again. */
  readonly repeats: boolean;
  /** Sends it, and ends the request. Rejects with an RpcError when the client's does not come whole. */
  sendTo(request: ClientRequest): Promise<void>;
}

/** A body that is there, and can be sent as often as it has to be. */
class KeptBody implements Body {
  readonly framing: Fields;
  readonly repeats = true;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.framing = bytes.length === 0 ? [] : ['Content-Length', String(bytes.length)];
  }

  async sendTo(request: ClientRequest): Promise<void> {
    request.end(this.#bytes);
  }
}

/** A body that is sent on as it comes, once, at the pace of the member. */
class PassingBody implements Body {
  readonly framing: Fields;
  readonly repeats = false;
  readonly #raw: IncomingMessage;
  readonly #held: WebRequest | undefined;

  constructor(raw: IncomingMessage, held: WebRequest | undefined) {
    const { 'content-length': length } = raw.headers;
    this.framing = length === undefined ? ['Transfer-Encoding', 'chunked'] : ['Content-Length', length];
    this.#raw = raw;
    this.#held = held;
  }

  async sendTo(request: ClientRequest): Promise<void> {
    for await (const part of bodyOf(this.#raw, this.#held)) {
      if (!request.write(part)) await roomIn(request);
      this.#held?.passed(part.length);
      if (request.destroyed) return;
    }
    request.end();
  }
}

/** Settles when the member takes more, or the request is over. */
function roomIn(request: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      request.off('drain', done).off('close', done);
      resolve();
    };
    if (request.destroyed) resolve();
    else request.on('drain', done).on('close', done);
  });
}

const NONE = new KeptBody(new Uint8Array(0));

/**
 * The body of a request.
 * @param repeats whether it may have to be sent more than once
 * @throws RpcError (rejects) when it does not come whole, or is too large to be kept
 */
export async function readBody(
  raw: IncomingMessage,
  held: WebRequest | undefined,
  repeats: boolean,
): Promise<Body> {
  const { 'content-length': length = '0', 'transfer-encoding': coding } = raw.headers;
  if (coding === undefined && Number(length) === 0) return NONE;
  if (!repeats) return new PassingBody(raw, held);
  const bytes = new GrownBytes();
  for await (const part of bodyOf(raw, held)) {
    if (bytes.length + part.length > KEPT_BYTES)
      throw new RpcError(Code.OUT_OF_RANGE, `larger than ${KEPT_BYTES} bytes, in a request that only reads`);
    bytes.append(part);
  }
  return new KeptBody(bytes.take());
}
