/**
 * WebSocket on the paths of etcd's JSON: one text frame a message, both ways. As in etcd, the token may be given as a
 * subprotocol (`Bearer, TOKEN`), which is all that a page can set; it takes no cookie for a token.
 */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { DescMethod } from '@bufbuild/protobuf';
import { type WebSocket, WebSocketServer } from 'ws';
import { Code, RpcError } from '../../rpc/status.ts';
import type { BrowserGuard } from '../browser-guard.ts';
import { WebCall } from '../call.ts';
import { httpStatus, unaryError } from '../http-error.ts';
import { endWith, type Upgrades } from '../http1.ts';
import { badBinary, prefixedMetadata } from '../prefixed-metadata.ts';
import { clientGone } from '../request-body.ts';
import type { RequestMemory, WebRequest } from '../request-memory.ts';
import { pathOf } from '../schemas.ts';
import { senderOf } from '../sender.ts';
import { streamError } from './error.ts';
import { Frames } from './frames.ts';
import { methodAt } from './paths.ts';
import { GatewayReader, timeoutOf } from './reader.ts';
import { wholeOf } from './response.ts';
import { type GatewayCall, type GatewayServing, serveStream, serveUnary } from './serve.ts';

/** The subprotocol after which a token comes. */
const BEARER = 'Bearer';

/** The most that a frame may be. Requests of watches and heartbeats, which these are for, are much smaller. Bytes. */
const MAX_FRAME_BYTES = 2 << 20;

/** The most parts of a frame that are kept each by itself until it is whole: those it is sent in, and those it is read in. */
const MAX_FRAGMENTS = 1024;
const MAX_CHUNKS = 16 << 10;

const NOTHING = new Uint8Array(0);

/** Codes of RFC 6455 section 7.4.1. */
const DONE = 1000;
const GOING_AWAY = 1001;

/** What is needed to serve them. */
export interface WebSocketOptions {
  readonly serving: GatewayServing;
  readonly guard: BrowserGuard;
  readonly memory: RequestMemory;
}

/** The WebSockets of the web door. */
export class WebSockets implements Upgrades {
  readonly #options: WebSocketOptions;
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_FRAME_BYTES,
    maxFragments: MAX_FRAGMENTS,
    maxBufferedChunks: MAX_CHUNKS,
    handleProtocols: (protocols) => (protocols.has(BEARER) ? BEARER : false),
  });

  constructor(options: WebSocketOptions) {
    this.#options = options;
  }

  /** One whose request has a body is none: that would still be on its way when the WebSocket begins. */
  wants({ headers }: IncomingMessage): boolean {
    const { upgrade, 'content-length': length = '0', 'transfer-encoding': coding } = headers;
    return upgrade?.toLowerCase() === 'websocket' && coding === undefined && Number(length) === 0;
  }

  /** Takes a connection whose request asks for a WebSocket. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const refusal = this.#options.guard.refusal(request);
    const method = methodAt(request.url ?? '');
    if (refusal !== undefined) refuse(socket, refusal.status, '');
    else if (method === undefined) refuseWith(socket, new RpcError(Code.NOT_FOUND, 'Not Found'));
    else this.#accept(method, request, socket, head);
  }

  /** Ends them all, orderly. */
  close(): void {
    for (const socket of this.#server.clients) socket.close(GOING_AWAY);
  }

  #accept(method: DescMethod, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const timeout = timeoutOf(request);
    if (timeout instanceof RpcError) {
      refuseWith(socket, timeout);
      return;
    }
    const wrong = badBinary(request.rawHeaders);
    if (wrong !== undefined) {
      refuseWith(socket, wrong);
      return;
    }
    const held = this.#options.memory.upgraded(request, socket);
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      const { observer } = this.#options.serving.options;
      this.#serve(method, request, webSocket, timeout, held).catch((error: unknown) =>
        observer.onFault(error),
      );
    });
  }

  async #serve(
    method: DescMethod,
    request: IncomingMessage,
    socket: WebSocket,
    timeout: number | undefined,
    held: WebRequest | undefined,
  ): Promise<void> {
    const { serving } = this.#options;
    const { options } = serving;
    const metadata = prefixedMetadata([...tokenOf(request), ...request.rawHeaders]);
    const called = options.services.method(pathOf(method));
    const call = new WebCall(called, senderOf(request), metadata, options.observer);
    const gone = new AbortController();
    const timer = timeout === undefined ? undefined : setTimeout(() => call.expire(), timeout);
    socket.on('close', () => {
      clearTimeout(timer);
      gone.abort(clientGone());
      call.abandon();
      call.close();
    });
    const frames = new Frames(socket, request.socket, held, call);
    const reader = new GatewayReader(method, options.maxRequestBytes, () => gone.signal, call.outlet);
    const all = () => reader.all(frames.parts(), held);
    // A frame is whole, and no end of a body follows it.
    const first = async () => {
      const { value = NOTHING } = await all().next();
      // Read on: so it is noticed when the client goes.
      frames.drop();
      return value;
    };
    call.begin(timeout);
    await this.#answer({ method, call, first, all, drop: () => frames.drop() }, socket);
    frames.drop();
    socket.close(DONE);
  }

  async #answer(gatewayCall: GatewayCall, socket: WebSocket): Promise<void> {
    const { serving } = this.#options;
    const { method, call } = gatewayCall;
    try {
      if (method.methodKind === 'unary') {
        const reply = await serveUnary(gatewayCall, serving);
        await send(socket, await wholeOf(call, method.output, reply));
        call.onSent();
        call.finish(Code.OK);
      } else {
        for await (const line of await serveStream(gatewayCall, serving))
          await send(socket, line.subarray(0, -1));
      }
    } catch (thrown) {
      const error = call.fail(thrown);
      const streams = method.methodKind !== 'unary' && call.asked;
      await send(socket, streams ? streamError(error).trimEnd() : unaryError(error));
    }
  }
}

/** Settles when the socket has taken it, or is gone. */
function send(socket: WebSocket, text: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => socket.send(text, { binary: false }, () => resolve()));
}

/** The token that follows `Bearer` among the subprotocols, as a header field. */
function tokenOf({ headers }: IncomingMessage): string[] {
  // No expression looks for blanks before a comma: it would begin anew at each of a million of them.
  const [first = '', token] = (headers['sec-websocket-protocol'] ?? '').split(',', 2);
  return first.trim() === BEARER && token !== undefined ? ['authorization', token.trim()] : [];
}

function refuseWith(socket: Duplex, error: RpcError): void {
  refuse(socket, httpStatus(error), unaryError(error));
}

function refuse(socket: Duplex, status: number, body: string): void {
  const length = Buffer.byteLength(body);
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-length: ${length}\r\n`;
  endWith(socket, `${head}content-type: application/json\r\n\r\n${body}`);
}
