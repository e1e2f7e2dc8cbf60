/**
 * One watch on etcd, on a stream of its own. Puts fragments together, so that its owner gets whole revisions.
 */

import { MalformedMessage } from '../etcd/scanner.ts';
import { createRequest, type OwnWatch, PROGRESS_REQUEST } from '../etcd/watch-request.ts';
import { type EventRecord, readResponse, type WatchResponse } from '../etcd/watch-response.ts';
import type { ClientStream, ClientStreamListener, Upstream } from '../rpc/contract.ts';
import type { Metadata } from '../rpc/metadata.ts';
import type { Method } from '../rpc/method.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { Code, RpcError, type Status } from '../rpc/status.ts';

/** Hears of a watch on etcd. Nothing follows `onEnd`. */
export interface UpstreamWatchOwner {
  /** A response with whole revisions, never a fragment. */
  onResponse(response: WatchResponse): void;
  /** A part of a response was this large, and the event that follows did not fit. */
  onFragment(size: number): void;
  onEnd(status: Status): void;
}

/** Fragments are put together up to this size, as far as whole revisions allow. */
const HOLD_BYTES = 4 << 20;

export class UpstreamWatch implements ClientStreamListener {
  readonly #owner: UpstreamWatchOwner;
  readonly #stream: ClientStream;
  /** Events of the revision that the fragments so far may not have all of. */
  #parts: EventRecord[] = [];
  /** Their bytes, roughly. */
  #held = 0;
  #over = false;

  constructor(
    upstream: Upstream,
    method: Method,
    metadata: Metadata,
    request: OwnWatch,
    owner: UpstreamWatchOwner,
  ) {
    this.#owner = owner;
    this.#stream = upstream.stream(new OwnCall(method, metadata, Number.POSITIVE_INFINITY), this);
    this.#stream.send(createRequest(request));
  }

  /** Asks etcd how far the watch has come. It may not answer. */
  requestProgress(): void {
    if (!this.#over) this.#stream.send(PROGRESS_REQUEST);
  }

  /** Gives the watch up; the owner hears no more. */
  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.#stream.cancel();
  }

  onHeaders(): void {
    // etcd's answer begins with its first message.
  }

  onMessage(message: Uint8Array): void {
    if (this.#over) return;
    try {
      this.#response(readResponse(message));
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      this.cancel();
      this.#owner.onEnd(new RpcError(Code.INTERNAL, 'etcd sent a malformed watch response'));
    }
  }

  onDrain(): void {
    // Requests are few and small; none is held back.
  }

  onEnd(status: Status): void {
    if (this.#over) return;
    this.#over = true;
    this.#owner.onEnd(status);
  }

  #response(response: WatchResponse): void {
    if (response.fragment) {
      this.#fragment(response);
      return;
    }
    if (this.#parts.length === 0) {
      this.#owner.onResponse(response);
      return;
    }
    const events = this.#parts.concat(response.events);
    this.#parts = [];
    this.#held = 0;
    this.#owner.onResponse({ ...response, events });
  }

  /** Keeps a fragment. Of many, hands on the revisions that are whole: all but the last, which may go on. */
  #fragment(response: WatchResponse): void {
    const events = this.#parts.concat(response.events);
    this.#held += response.size;
    // An event that is alone may be of any size, so it says nothing about etcd's limit.
    if (response.events.length > 1) this.#owner.onFragment(response.size);
    if (this.#held < HOLD_BYTES) {
      this.#parts = events;
      return;
    }
    this.#held = response.size;
    const last = events.at(-1)?.revision;
    let whole = events.length;
    while (whole > 0 && events[whole - 1]?.revision === last) whole--;
    this.#parts = events.slice(whole);
    if (whole > 0) this.#owner.onResponse({ ...response, fragment: false, events: events.slice(0, whole) });
  }
}
