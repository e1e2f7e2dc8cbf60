/**
 * `etcdconnect.v1.Browser`: etcd's two bidirectional RPCs for clients that can send only one message. Each is
 * served by the handler of the RPC it stands for.
 */
import { Lease, methodsOf, Watch } from '../etcd/methods.ts';
import { requestToCreate } from '../etcd/watch-request.ts';
import { isCanceled } from '../etcd/watch-response.ts';
import type { Call, ServerStream, ServerStreamListener, Services } from '../rpc/contract.ts';
import type { Method } from '../rpc/method.ts';
import { NO_STREAM_LISTENER } from '../rpc/no-stream-listener.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { PassingStream } from '../rpc/passing-stream.ts';
import { Code, OK, RpcError, type Status } from '../rpc/status.ts';
import type { OwnMethod } from './table.ts';

/** The proxy's own methods for clients that cannot open bidirectional streams. */
export const Browser = methodsOf('etcdconnect.v1.Browser', {
  Watch: { kind: 'server_stream' },
  LeaseKeepAliveOnce: {},
});

/** The handlers, on top of those of the RPCs they stand for. */
export function browserService(services: Services): OwnMethod[] {
  return [
    {
      method: Browser.Watch,
      stream: (client, call) => {
        const watch = new OneWatch(client);
        services.stream(Watch.Watch.path)(watch, relay(call, Watch.Watch));
        client.listener = new OneWatchRequest(watch, client);
      },
    },
    {
      method: Browser.LeaseKeepAliveOnce,
      unary: (request, call) => {
        const inner = relay(call, Lease.LeaseKeepAlive);
        call.work = inner;
        return new Promise((resolve, reject) => {
          const heartbeat = new OneHeartbeat(inner, call, resolve, reject);
          services.stream(Lease.LeaseKeepAlive.path)(heartbeat, inner);
          heartbeat.listener.onMessage(request);
          heartbeat.listener.onHalfClose();
        });
      },
    },
  ];
}

/** The call that stands behind a client's call: the same client and deadline, another method. */
function relay(call: Call, method: Method): OwnCall {
  return new OwnCall(method, call.metadata, call.deadline, call.client);
}

/** The client of `Browser.Watch` as the Watch handler sees it. The stream ends with its only watch. */
class OneWatch extends PassingStream {
  listener: ServerStreamListener = NO_STREAM_LISTENER;

  send(message: Uint8Array): boolean {
    const room = this.client.send(message);
    if (isCanceled(message)) {
      this.listener.onCancel();
      this.end(OK);
    }
    return room;
  }
}

/** Turns the one request into the first message of a watch stream, which then stays open. */
class OneWatchRequest implements ServerStreamListener {
  readonly #watch: OneWatch;
  readonly #client: ServerStream;
  #created = false;

  constructor(watch: OneWatch, client: ServerStream) {
    this.#watch = watch;
    this.#client = client;
  }

  onMessage(request: Uint8Array): void {
    if (this.#created) return;
    this.#created = true;
    this.#watch.listener.onMessage(requestToCreate(request));
  }

  onHalfClose(): void {
    if (this.#created) return;
    this.#watch.listener.onCancel();
    this.#client.end(
      new RpcError(Code.INVALID_ARGUMENT, 'etcd-connect-proxy: a watch needs a create request'),
    );
  }

  onDrain(): void {
    this.#watch.listener.onDrain();
  }

  onCancel(): void {
    this.#watch.listener.onCancel();
  }
}

/** The client of `LeaseKeepAliveOnce` as the LeaseKeepAlive handler sees it: takes the first answer. */
class OneHeartbeat implements ServerStream {
  listener: ServerStreamListener = NO_STREAM_LISTENER;
  readonly #inner: OwnCall;
  readonly #call: Call;
  readonly #resolve: (reply: Uint8Array) => void;
  readonly #reject: (error: RpcError) => void;

  constructor(
    inner: OwnCall,
    call: Call,
    resolve: (reply: Uint8Array) => void,
    reject: (error: RpcError) => void,
  ) {
    this.#inner = inner;
    this.#call = call;
    this.#resolve = resolve;
    this.#reject = reject;
    inner.work = { cancel: () => this.listener.onCancel() };
  }

  sendHeaders(): void {
    this.#call.responseHeaders = this.#inner.responseHeaders;
  }

  send(message: Uint8Array): boolean {
    this.#resolve(message);
    return true;
  }

  sendJoined(head: Uint8Array, tail: Uint8Array): boolean {
    return this.send(Buffer.concat([head, tail]));
  }

  end(status: Status): void {
    this.#call.responseTrailers = this.#inner.responseTrailers;
    const { code, message, details } = status;
    if (code === Code.OK)
      this.#reject(new RpcError(Code.INTERNAL, 'etcd-connect-proxy: the heartbeat was not answered'));
    else this.#reject(new RpcError(code, message, details));
  }

  hold(): void {
    // The request is counted until its call ends.
  }

  pause(): void {
    // The request was sent whole before anything could ask for a pause.
  }

  resume(): void {
    // See pause.
  }
}
