/** Requests of etcd's gateway, each from its head to its answer. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { DescMethod } from '@bufbuild/protobuf';
import { Code, RpcError } from '../../rpc/status.ts';
import { WebCall } from '../call.ts';
import type { WebLimits, WebServerOptions } from '../options.ts';
import { badBinary, prefixedMetadata } from '../prefixed-metadata.ts';
import { bodyOf, clientGone } from '../request-body.ts';
import type { RequestMemory } from '../request-memory.ts';
import { pathOf } from '../schemas.ts';
import { senderOf } from '../sender.ts';
import { mayGoOn } from '../slow-bodies.ts';
import { isSmall, smallBody } from '../small-body.ts';
import { GatewayReader, timeoutOf } from './reader.ts';
import { sendError, sendLines, sendReply } from './response.ts';
import { type GatewayCall, type GatewayServing, serveStream, serveUnary } from './serve.ts';

/** Serves them. */
export class GatewayRequests {
  readonly #serving: GatewayServing;
  readonly #memory: RequestMemory;

  constructor(options: WebServerOptions, { maxUnreadBytes }: WebLimits, memory: RequestMemory) {
    this.#serving = { options, maxUnreadBytes };
    this.#memory = memory;
  }

  /** Serves one. Nothing is thrown: whatever goes wrong is its answer. */
  serve(method: DescMethod, raw: IncomingMessage, response: ServerResponse): void {
    const { options } = this.#serving;
    const timeout = timeoutOf(raw);
    if (timeout instanceof RpcError) {
      sendError(response, timeout, false);
      return;
    }
    const wrong = badBinary(raw.rawHeaders);
    if (wrong !== undefined) {
      sendError(response, wrong, false);
      return;
    }
    const call = new WebCall(
      options.services.method(pathOf(method)),
      senderOf(raw),
      prefixedMetadata(raw.rawHeaders),
      options.observer,
    );
    let timer: NodeJS.Timeout | undefined;
    response.once('close', () => {
      clearTimeout(timer);
      call.abandon();
      call.close();
    });
    call.begin(timeout);
    if (timeout !== undefined) timer = setTimeout(() => call.expire(), timeout);
    void this.#answer(this.#callOf(method, raw, response, call), response);
  }

  #callOf(method: DescMethod, raw: IncomingMessage, response: ServerResponse, call: WebCall): GatewayCall {
    const held = this.#memory.of(raw);
    const { maxRequestBytes } = this.#serving.options;
    const reader = new GatewayReader(method, maxRequestBytes, goneSignal(response), call.outlet);
    if (method.methodKind === 'bidi_streaming') mayGoOn(raw);
    return {
      method,
      call,
      first: async () =>
        isSmall(raw)
          ? reader.whole(await smallBody(raw, held, call))
          : await reader.first(bodyOf(raw, held, call)),
      all: () => reader.all(bodyOf(raw, held, call), held),
      // What is left of a request is read, or its client waits for ever to send it.
      drop: () => void (raw.complete || raw.resume()),
    };
  }

  async #answer(gatewayCall: GatewayCall, response: ServerResponse): Promise<void> {
    const { method, call } = gatewayCall;
    const streams = method.methodKind !== 'unary';
    try {
      if (streams) sendLines(response, call, await serveStream(gatewayCall, this.#serving));
      else {
        await sendReply(response, call, method.output, await serveUnary(gatewayCall, this.#serving));
        call.onSent();
        call.finish(Code.OK);
      }
    } catch (thrown) {
      gatewayCall.drop();
      // As etcd, where what is wrong is found before there is a stream.
      sendError(response, call.fail(thrown), streams && call.asked);
    }
  }
}

/** Gives a signal that is aborted when the client goes before it has the whole answer; made when it is asked for. */
function goneSignal(response: ServerResponse): () => AbortSignal {
  let signal: AbortSignal | undefined;
  const make = (): AbortSignal => {
    const gone = new AbortController();
    if (response.destroyed) gone.abort(clientGone());
    response.once('close', () => {
      if (!response.writableFinished) gone.abort(clientGone());
    });
    return gone.signal;
  };
  return () => {
    signal ??= make();
    return signal;
  };
}
