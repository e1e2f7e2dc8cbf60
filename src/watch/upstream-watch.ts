/** One watch on etcd, on a stream of its own. Its owner gets whole revisions. */

import { createRequest, type OwnWatch, PROGRESS_REQUEST } from '../etcd/watch-request.ts';
import type { WatchResponse } from '../etcd/watch-response.ts';
import type { ClientStream, ClientStreamListener, PartSink, Upstream } from '../rpc/contract.ts';
import type { Metadata } from '../rpc/metadata.ts';
import type { Method } from '../rpc/method.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { RpcError, type Status } from '../rpc/status.ts';
import { type AssemblyBounds, ResponseAssembly, watchFailureOf } from './response-assembly.ts';

/** Hears of a watch on etcd. Nothing follows `onEnd`. */
export interface UpstreamWatchOwner {
  /** A response with whole revisions; with `fragment`, more follows of what etcd had in one. */
  onResponse(response: WatchResponse): void;
  onEnd(status: Status): void;
}

export class UpstreamWatch implements ClientStreamListener, PartSink {
  readonly #owner: UpstreamWatchOwner;
  readonly #stream: ClientStream;
  readonly #assembly: ResponseAssembly;
  #over = false;

  constructor(
    upstream: Upstream,
    method: Method,
    metadata: Metadata,
    request: OwnWatch,
    bounds: AssemblyBounds,
    owner: UpstreamWatchOwner,
  ) {
    this.#owner = owner;
    this.#assembly = new ResponseAssembly(bounds, (response) => owner.onResponse(response));
    this.#stream = upstream.stream(new OwnCall(method, metadata, Number.POSITIVE_INFINITY), this);
    this.#stream.send(createRequest(request));
  }

  /** Asks etcd how far the watch has come. It may not answer. */
  requestProgress(): void {
    if (!this.#over) this.#stream.send(PROGRESS_REQUEST);
  }

  /** Reads no more of what etcd sends, until {@link resume}. */
  pause(): void {
    if (!this.#over) this.#stream.pause();
  }

  resume(): void {
    if (!this.#over) this.#stream.resume();
  }

  /** Gives the watch up; the owner hears no more. */
  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.#assembly.drop();
    this.#stream.cancel();
  }

  onHeaders(): void {
    // etcd's answer begins with its first message.
  }

  onMessage(message: Uint8Array): void {
    if (this.#over) return;
    try {
      this.#assembly.onMessage(message);
    } catch (error) {
      this.#fail(error);
    }
  }

  get parts(): PartSink {
    return this;
  }

  onPart(part: Buffer, left: number): void {
    if (this.#over) return;
    try {
      this.#assembly.onPart(part, left);
    } catch (error) {
      this.#fail(error);
    }
  }

  onDrain(): void {
    // Requests are few and small; none is held back.
  }

  onEnd(status: Status): void {
    if (this.#over) return;
    this.#over = true;
    this.#assembly.drop();
    this.#owner.onEnd(status);
  }

  /** What etcd sent cannot be read or kept. */
  #fail(error: unknown): void {
    if (!(error instanceof RpcError)) throw error;
    this.cancel();
    this.#owner.onEnd(watchFailureOf(error));
  }
}
