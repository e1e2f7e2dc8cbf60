/**
 * A request on a watch stream that waits for what only etcd can say: its revision, and whether the client may. A
 * refusal is put to etcd as the watch that it is, so that the client gets etcd's own words.
 */

import type { Asker, ProbeResult } from '../clients/probe.ts';
import { type Header, NO_HEADER } from '../etcd/header.ts';
import type { CreateRequest, WatchRequest } from '../etcd/watch-request.ts';
import type { WatchResponse } from '../etcd/watch-response.ts';
import { Code, RpcError, type Status } from '../rpc/status.ts';
import type { Beginning, BeginningWaiter } from './beginnings.ts';
import type { IdentityFeeds } from './identity-feeds.ts';
import type { TurnTaker } from './semaphore.ts';
import type { Allowed, Circles, Learner } from './sharing/circles.ts';
import { OTHER_CLUSTER } from './terminal.ts';
import type { UpstreamWatch, UpstreamWatchOwner } from './upstream-watch.ts';

/** What etcd said. */
export type TicketAnswer =
  | ({ readonly kind: 'ok' } & Allowed)
  | { readonly kind: 'refused'; readonly header: Header; readonly reason: string }
  | { readonly kind: 'failed'; readonly header: Header; readonly error: Status };

const NOTHING: TicketAnswer & Allowed = { kind: 'ok', header: NO_HEADER, maybeCompacted: false, at: 0 };

/** Why the proxy itself refuses a watch. */
const TOO_LONG = 'etcd-connect-proxy: too many bytes of long keys are watched';

/** The stream that a request came on. */
export interface TicketOwner {
  readonly feeds: IdentityFeeds;
  readonly circles: Circles;
  /** An answer has come; not called for one that needs nothing of etcd and is there after {@link Ticket.start}. */
  onSettled(): void;
  /** No answer will come. */
  onFault(error: unknown): void;
}

export class Ticket implements UpstreamWatchOwner, Asker, Learner, TurnTaker, BeginningWaiter {
  readonly request: WatchRequest;
  /** The size of the request. */
  readonly bytes: number;
  /** Whether {@link answer} is there. */
  ready = false;
  answer: TicketAnswer = NOTHING;
  /** Whether the proxy's own user may watch the range of the watch that etcd has allowed. */
  own = false;
  askedStart = 0;
  readonly #owner: TicketOwner;
  #watch: UpstreamWatch | undefined;
  #over = false;
  /** Why etcd has refused the client a read of the range, as it would say of a watch. */
  #refusal = '';
  /** What etcd said of itself when it had granted the watch, which is the client's if it may read the range. */
  #granted: Header | undefined;
  /** The feed that begins for a watch of what comes next. */
  #beginning: Beginning | undefined;
  /** What etcd has said. */
  #probed: TicketAnswer & Allowed = NOTHING;
  /** It is known whose feeds serve the watch; at most a feed is waited for that begins. */
  #isAllowed = false;
  /** There is room for its keys, and for those of the watch that it becomes. */
  #hasRoom = false;
  /** etcd is asked on its behalf: who asks keeps it, and its keys, until the answer, also when nobody wants it any more. */
  #isAsking = false;
  #isLearned = false;
  #isCancelled = false;

  constructor(owner: TicketOwner, request: WatchRequest, bytes: number) {
    this.#owner = owner;
    this.request = request;
    this.bytes = bytes;
  }

  /** Asks etcd what has to be asked. */
  start(): void {
    const { request } = this;
    const { feeds, circles } = this.#owner;
    if (request.kind === 'create') {
      const { range, start, options } = request;
      this.#hasRoom = feeds.shared.longKeys.take(range);
      if (!this.#hasRoom) {
        feeds.shared.stats.limits.long_keys++;
        this.answer = { kind: 'refused', header: NO_HEADER, reason: TOO_LONG };
        this.ready = true;
        return;
      }
      // Releases of etcd differ in what they make of a negative revision.
      if (range.empty || start < 0) this.#relay();
      else {
        // No store has revisions that a number cannot hold.
        const asks = start > 0 && Number.isSafeInteger(start);
        if (asks && circles.remembers(feeds, range, options.prevKv, start))
          // At the compacted revision itself the value before its event is gone, and a history may still have it.
          this.askedStart = options.prevKv ? start - 1 : start;
        circles.prepare(feeds);
        // Whom etcd demands no token from has no other feeds than these.
        if (!feeds.identity.hasToken) this.#begin(feeds);
        this.#ask(request);
      }
    } else if (request.kind === 'cancel') feeds.etcd.probeAny(this);
    else this.ready = true;
  }

  /** The watch that comes of it is there. */
  finish(): void {
    this.#beginning?.leave(this);
  }

  /** No watch comes of it. */
  cancel(): void {
    this.#over = true;
    this.#isCancelled = true;
    this.finish();
    this.#watch?.cancel();
    this.#owner.feeds.shared.relayTurns.leave(this);
    this.#giveRoom();
  }

  /** Gives back the room for its keys, once nobody wants or keeps them any more. */
  #giveRoom(): void {
    const { request } = this;
    if (!this.#isCancelled || this.#isAsking || !this.#hasRoom || request.kind !== 'create') return;
    this.#owner.feeds.shared.longKeys.release(request.range);
    this.#hasRoom = false;
  }

  /** Asks etcd whether the client may read the range; the answer never comes at once. */
  #ask({ range }: CreateRequest): void {
    this.#owner.feeds.etcd.probe(range, this);
    this.#isAsking = true;
  }

  /** A watch that etcd grants is the client's only if it may read the range as well: not every release looks at all of it. */
  onResponse({ header, canceled, compactRevision, cancelReason }: WatchResponse): void {
    this.#watch?.cancel();
    if (canceled && compactRevision === 0) this.#settle({ kind: 'refused', header, reason: cancelReason });
    else if (this.#refusal !== '') this.#settle({ kind: 'refused', header, reason: this.#refusal });
    else {
      this.#granted = header;
      if (this.request.kind === 'create') this.#ask(this.request);
    }
  }

  onEnd(status: Status): void {
    const error = new RpcError(status.code || Code.UNAVAILABLE, status.message, status.details);
    this.#settle({ kind: 'failed', header: NO_HEADER, error });
  }

  onProbed(result: ProbeResult): void {
    this.#isAsking = false;
    if (this.#over) {
      this.#giveRoom();
      return;
    }
    try {
      this.#take(result);
    } catch (error) {
      // A fault in what etcd's answers bring about ends the client's stream.
      this.#owner.onFault(error);
    }
  }

  #take(result: ProbeResult): void {
    const { request } = this;
    if (request.kind !== 'create') {
      // A cancel changes nothing in etcd; its reply has the revision of the store, if that can be had.
      this.#settle(result.kind === 'ok' ? result : NOTHING);
    } else if (result.kind === 'failed') this.#settle({ ...result, header: NO_HEADER });
    else if (result.kind === 'ok') this.#learn(request, result);
    else if (this.#granted !== undefined) this.#settle({ ...result, header: this.#granted });
    else {
      this.#refusal = result.reason;
      this.#relay();
    }
  }

  /** etcd lets the client watch: finds out by whose feeds. One that etcd has granted begins where it did so. */
  #learn(request: CreateRequest, result: TicketAnswer & Allowed): void {
    const { circles, feeds } = this.#owner;
    this.#probed =
      this.#granted === undefined ? result : { ...result, header: this.#granted, maybeCompacted: false };
    circles.learn(feeds, request, this.#probed, this);
    this.#isAsking = !this.#isLearned;
  }

  onLearned(own: boolean): void {
    this.#isLearned = true;
    this.#isAsking = false;
    if (this.#over) {
      this.#giveRoom();
      return;
    }
    try {
      this.#allow(own);
    } catch (error) {
      this.#owner.onFault(error);
    }
  }

  /** Has a feed begin for a watch of what comes next, where none is there. */
  #begin(feeds: IdentityFeeds): void {
    if (this.request.kind !== 'create' || this.request.start !== 0) return;
    this.#beginning = feeds.begin(this.request.range, this.request.options.prevKv);
    this.#beginning?.join(this);
  }

  /** etcd lets the client watch; the watch begins where its feed does. */
  #allow(own: boolean): void {
    const { feeds, circles } = this.#owner;
    this.own = own;
    this.#isAllowed = true;
    if (feeds.identity.hasToken) this.#begin(circles.serving(feeds, own));
    if (this.#beginning?.isOver !== false) this.onBegun();
  }

  onBegun(): void {
    if (!this.#isAllowed) return;
    const { header: probed } = this.#probed;
    const begun = this.#beginning?.header ?? probed;
    const failure = this.#beginning?.failure;
    if (failure !== undefined) this.#settle({ kind: 'failed', header: NO_HEADER, error: failure });
    else if (begun !== NO_HEADER && begun.cluster !== probed.cluster)
      this.#settle({ kind: 'failed', header: NO_HEADER, error: OTHER_CLUSTER });
    else {
      const isLater = begun.revision > probed.revision;
      this.#settle(isLater ? { ...this.#probed, header: begun } : this.#probed);
    }
  }

  onFault(error: unknown): void {
    this.#owner.onFault(error);
  }

  /** Has etcd refuse the watch itself, when it is its turn. */
  #relay(): void {
    const { relayTurns, stats } = this.#owner.feeds.shared;
    if (relayTurns.take(this)) this.onTurn();
    else stats.limits.relays++;
  }

  onTurn(): void {
    if (this.request.kind !== 'create') return;
    const { range, start, options } = this.request;
    try {
      this.#watch = this.#owner.feeds.etcd.openWatch(
        { range, start, prevKv: options.prevKv, fragment: false },
        this,
      );
    } catch (error) {
      this.#owner.onFault(error);
    }
  }

  #settle(answer: TicketAnswer): void {
    if (this.#over) return;
    this.#over = true;
    this.#owner.feeds.shared.relayTurns.leave(this);
    this.answer = answer;
    this.ready = true;
    this.#owner.onSettled();
  }
}
