/**
 * A request on a watch stream that waits for what only etcd can say: its revision, and whether the client may. A
 * refusal is put to etcd as the watch that it is, so that the client gets etcd's own words.
 */
import type { IdentityFeeds } from '../coalesce/watch/identity-feeds.ts';
import type { WatchRequest } from '../coalesce/watch/requests.ts';
import { type Header, NO_HEADER, type WatchResponse } from '../coalesce/watch/response.ts';
import type { ProbeResult } from '../coalesce/watch/revision-probe.ts';
import type { UpstreamWatch, UpstreamWatchOwner } from '../coalesce/watch/upstream-watch.ts';
import { Code, RpcError, type Status } from '../rpc/status.ts';

/** What etcd said. */
export type Answer =
  | { readonly kind: 'ok'; readonly header: Header; readonly doubtful: boolean }
  | { readonly kind: 'refused'; readonly header: Header; readonly reason: string }
  | { readonly kind: 'failed'; readonly header: Header; readonly error: RpcError };

const NOTHING: Answer = { kind: 'ok', header: NO_HEADER, doubtful: false };

export class Ticket implements UpstreamWatchOwner {
  readonly request: WatchRequest;
  /** Whether {@link answer} is there. */
  ready = false;
  answer: Answer = NOTHING;
  readonly #feeds: IdentityFeeds;
  readonly #settled: () => void;
  #watch: UpstreamWatch | undefined;
  #over = false;

  /** @param settled is called when the answer is there, unless that is so right after {@link start} */
  constructor(feeds: IdentityFeeds, request: WatchRequest, settled: () => void) {
    this.#feeds = feeds;
    this.request = request;
    this.#settled = settled;
  }

  /** Asks etcd what has to be asked. */
  start(): void {
    const { request } = this;
    if (request.kind === 'create') {
      const { range, start, options } = request;
      // Releases of etcd differ in what they make of a negative revision.
      if (range.empty || start < 0) this.#relay();
      else {
        const past = start > 0 && this.#feeds.remembers(range, options.prevKv, start);
        this.#feeds.probe(range, past ? start : Number.POSITIVE_INFINITY, (result) => this.#probed(result));
      }
    } else if (request.kind === 'cancel') this.#askForHeader();
    else this.ready = true;
  }

  /** Nobody waits any more. */
  cancel(): void {
    this.#over = true;
    this.#watch?.cancel();
  }

  onResponse({ header, canceled, compactRevision, cancelReason }: WatchResponse): void {
    this.#watch?.cancel();
    const refused = canceled && compactRevision === 0;
    this.#settle(
      refused ? { kind: 'refused', header, reason: cancelReason } : { kind: 'ok', header, doubtful: false },
    );
  }

  onFragment(): void {
    // The first response decides; it has no events.
  }

  onEnd(status: Status): void {
    const error = new RpcError(status.code || Code.UNAVAILABLE, status.message, status.details);
    this.#settle({ kind: 'failed', header: NO_HEADER, error });
  }

  #probed(result: ProbeResult): void {
    if (this.#over) return;
    if (result.kind === 'refused') this.#relay();
    else if (result.kind === 'ok') this.#settle(result);
    else this.#settle({ kind: 'failed', header: NO_HEADER, error: result.error });
  }

  /** A cancel changes nothing in etcd; its reply has the revision of the store, if that can be had. */
  #askForHeader(): void {
    this.#feeds.probeAny((result) => {
      this.#settle(result.kind === 'ok' ? result : NOTHING);
    });
  }

  /** Has etcd refuse the watch itself. */
  #relay(): void {
    if (this.request.kind !== 'create') return;
    const { range, start, options } = this.request;
    this.#watch = this.#feeds.openWatch({ range, start, prevKv: options.prevKv }, this);
  }

  #settle(answer: Answer): void {
    if (this.#over) return;
    this.#over = true;
    this.answer = answer;
    this.ready = true;
    this.#settled();
  }
}
