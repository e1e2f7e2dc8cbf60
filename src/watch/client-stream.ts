/**
 * `etcdserverpb.Watch/Watch` on the watch hub. One object is one stream of a client: the numbers of its watches, what it
 * is told, and back-pressure.
 *
 *   request ─▶ TicketLine, until etcd has said what has to be known ─▶ answer() ─▶ reply ─▶ Watcher ─▶ feeds.place()
 */

import { clientIdentityOf, demandsLeader } from '../clients/identity.ts';
import type { LeaderSink } from '../clients/leader-demands.ts';
import type { SeenRevision } from '../clients/seen-revision.ts';
import { TOO_MANY_FIELDS } from '../etcd/bounded-fields.ts';
import { type Header, NO_HEADER, withRevision } from '../etcd/header.ts';
import { type EventlessResponse, encodeReply, NO_WATCH } from '../etcd/watch-reply.ts';
import { type CreateRequest, readRequest, type WatchRequest } from '../etcd/watch-request.ts';
import { DUPLICATE_WATCH_ID } from '../etcd/words.ts';
import type { Call, ServerStream, ServerStreamListener, StreamHandler, Upstream } from '../rpc/contract.ts';
import { forwardStream } from '../rpc/forward.ts';
import { RpcError } from '../rpc/status.ts';
import { ClientOutput, type ClientOutputOwner } from './client-output.ts';
import type { WatchHub } from './hub.ts';
import type { IdentityFeeds } from './identity-feeds.ts';
import { ProgressRounds, type ProgressRoundsOwner } from './progress-rounds.ts';
import type { Ticket, TicketAnswer } from './request-ticket.ts';
import type { SharedFeeds } from './shared-feeds.ts';
import type { Circles } from './sharing/circles.ts';
import { StreamWatchers } from './stream-watchers.ts';
import { FAULT } from './terminal.ts';
import { TicketLine, type TicketLineOwner } from './ticket-line.ts';
import { byFeed, Watcher, type WatchSink } from './watcher.ts';

/** Every etcd takes requests up to this size. */
const LARGE = 512 << 10;

/**
 * A field without its length, which is no message to any decoder. Of what is none to this one, other decoders may make a watch:
 * etcd's take tags of more than 32 bits, and groups that do not fit together.
 */
const NO_MESSAGE = Uint8Array.of(0x0a);

/**
 * The handler.
 * @param upstream where streams go that are left to etcd
 * @param seen is told the revisions that clients are told
 */
export function watchService(hub: WatchHub, upstream: Upstream, seen: SeenRevision): StreamHandler {
  const forward = forwardStream(upstream);
  return (client, call) => {
    const stream = new WatchStream(hub, client, call, forward, seen);
    client.listener = stream;
    stream.begin();
  };
}

/** One client stream. */
class WatchStream
  implements
    ServerStreamListener,
    WatchSink,
    LeaderSink,
    TicketLineOwner,
    ProgressRoundsOwner,
    ClientOutputOwner
{
  readonly output: ClientOutput;
  /** Its client's own. */
  readonly feeds: IdentityFeeds;
  readonly circles: Circles;
  readonly watchers: StreamWatchers;
  readonly #shared: SharedFeeds;
  readonly #client: ServerStream;
  readonly #call: Call;
  readonly #forward: StreamHandler;
  readonly #seen: SeenRevision;
  readonly #progress: ProgressRounds;
  readonly #line: TicketLine;
  /** It demands a leader, and etcd has not said that there is one. */
  #awaitsLeader: boolean;
  #over = false;

  constructor(hub: WatchHub, client: ServerStream, call: Call, forward: StreamHandler, seen: SeenRevision) {
    this.#shared = hub.shared;
    this.#client = client;
    this.watchers = new StreamWatchers(hub.shared, client);
    this.output = new ClientOutput(client, this);
    this.#call = call;
    this.#forward = forward;
    this.#seen = seen;
    this.circles = hub.circles;
    this.feeds = hub.feedsOf(clientIdentityOf(call.metadata));
    this.#line = new TicketLine(this, client, hub.shared.visits);
    this.#progress = new ProgressRounds(this);
    this.#awaitsLeader = demandsLeader(call.metadata);
  }

  begin(): void {
    this.#guard(() => {
      this.feeds.enter(this);
      if (this.#awaitsLeader) this.#shared.leader.add(this);
    });
  }

  onMessage(message: Uint8Array): void {
    if (!this.#over) this.#guard(() => this.#take(message));
  }

  /** A fault in what is done for the client ends its stream. */
  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.onFault(error);
    }
  }

  #take(message: Uint8Array): void {
    if (message.length > LARGE && this.#mayBeEtcds) {
      this.#handOver(message);
      return;
    }
    let request: WatchRequest;
    try {
      request = readRequest(message, this.#shared.ranges);
    } catch (error) {
      if (this.#mayBeEtcds) this.#handOver(message);
      else if (error === TOO_MANY_FIELDS) this.#failFor(TOO_MANY_FIELDS);
      else this.#handOver(NO_MESSAGE);
      return;
    }
    if (request.kind === 'nothing') return;
    if (request.kind === 'create' && request.start < 0 && this.#mayBeEtcds) this.#handOver(message);
    else this.#line.add(request, message.length);
  }

  /** etcd might take it, and would know nothing of the watches that are here. */
  #failFor({ code, message }: RpcError): void {
    this.#shared.stats.limits.fields++;
    this.fail(code, message);
  }

  /** Whether all of it can be left to etcd: nothing is on it, and etcd looks at no permissions, not all of which it heeds. */
  get #mayBeEtcds(): boolean {
    return this.watchers.size === 0 && this.#line.isEmpty && !this.feeds.identity.hasToken;
  }

  onHalfClose(): void {
    // etcd goes on: the client still reads.
  }

  get blocked(): boolean {
    return this.output.blocked;
  }

  onDrain(): void {
    this.#guard(() => this.output.onDrain());
  }

  onReady(): void {
    this.#guard(() => this.#goOn());
  }

  #goOn(): void {
    this.#line.advance();
    while (!this.blocked) {
      const watcher = this.watchers.takeLagging();
      if (watcher === undefined) return;
      watcher.feed?.pump(watcher);
    }
  }

  onCancel(): void {
    this.#leave();
  }

  sendEvents(watcher: Watcher, tail: Buffer, shared: boolean): void {
    const { stats, fragmentBytes } = this.#shared;
    this.#seen.raise(watcher.sentRevision);
    stats.bytes += tail.length;
    if (shared) stats.sharedBytes += tail.length;
    const { idField, options } = watcher;
    if (options.fragment && idField.length + tail.length >= fragmentBytes)
      this.output.sendFragments(idField, tail, fragmentBytes);
    else this.output.sendEvents(idField, tail);
  }

  onLagging(watcher: Watcher): void {
    this.watchers.lag(watcher);
  }

  /** As in etcd, a watch that a compaction ended keeps its number until its client cancels it. */
  onCompacted(watcher: Watcher, header: Header, revision: number): void {
    if (!this.watchers.has(watcher)) return;
    watcher.permit?.leave(watcher);
    const { id } = watcher;
    this.#reply({ header: withRevision(header, 0), id, canceled: true, compactRevision: revision });
  }

  /** Unlike etcd, which asks only once: see `docs/identity.md`. */
  onDenied(watcher: Watcher, reason: string): void {
    if (this.watchers.has(watcher)) this.#end(watcher, NO_HEADER, reason);
  }

  sendProgress(watcher: Watcher, header: Header): void {
    this.#reply({ header, id: watcher.id });
  }

  /** As in etcd, no more are answered than there is room for. */
  answerProgress(header: Header, count: number): void {
    for (let i = 0; i < count && !this.blocked; i++) this.#reply({ header, id: NO_WATCH });
  }

  onFault(error: unknown): void {
    this.#shared.onFault(error);
    this.fail(FAULT.code, FAULT.message);
  }

  fail(code: number, message: string): void {
    if (this.#over) return;
    this.#leave();
    this.#client.end(new RpcError(code, message));
  }

  get mayAnswer(): boolean {
    return !this.#over && !this.blocked && !this.#awaitsLeader;
  }

  onLeader(): void {
    this.#awaitsLeader = false;
    this.#line.onSettled();
  }

  answer({ request, answer, own }: Ticket): boolean {
    if (request.kind === 'create' && answer.kind !== 'failed') return this.#create(request, answer, own);
    if (answer.kind === 'failed') this.fail(answer.error.code, answer.error.message);
    else if (request.kind === 'progress') this.#progress.onRequest();
    else if (request.kind === 'cancel') this.#cancel(request.id, answer);
    return false;
  }

  /** @returns whether there is a watch now */
  #create(request: CreateRequest, answer: Exclude<TicketAnswer, { kind: 'failed' }>, own: boolean): boolean {
    const { header } = answer;
    if (answer.kind === 'refused') return this.#refuse(header, answer.reason);
    const id = this.watchers.numberOf(request.id);
    if (this.watchers.get(id) !== undefined) return this.#refuse(header, DUPLICATE_WATCH_ID);
    const next = request.start === 0 ? header.revision + 1 : request.start;
    const { range, options } = request;
    const watcher = new Watcher(this, range, options, id, next, header.revision);
    this.watchers.add(watcher);
    this.#reply({ header, id, created: true });
    // The stream may have ended with the reply.
    if (!this.#over) this.circles.place(watcher, this.feeds, answer, own, request.start !== 0);
    return true;
  }

  #refuse(header: Header, reason: string): false {
    this.#reply({ header, id: NO_WATCH, created: true, canceled: true, reason });
    return false;
  }

  #cancel(id: bigint, { header }: TicketAnswer): void {
    const watcher = this.watchers.get(id);
    if (watcher !== undefined) this.#end(watcher, header);
  }

  #end(watcher: Watcher, header: Header, reason = ''): void {
    const known = header === NO_HEADER ? (watcher.feed?.header ?? header) : header;
    this.watchers.remove(watcher);
    watcher.feed?.leave([watcher]);
    // The read may be older than what was sent meanwhile.
    const revision = Math.max(known.revision, watcher.sentRevision);
    this.#reply({ header: withRevision(known, revision), id: watcher.id, canceled: true, reason });
  }

  #reply(reply: EventlessResponse): void {
    if (this.#over) return;
    this.#seen.raise(reply.header.revision);
    this.output.send(encodeReply(reply));
  }

  /** Leaves the stream to etcd, which says itself what it makes of bytes that are no message, or too many. */
  #handOver(message: Uint8Array): void {
    this.#leave();
    this.#forward(this.#client, this.#call);
    this.#client.listener.onMessage(message);
  }

  #leave(): void {
    if (this.#over) return;
    this.#over = true;
    this.output.close();
    const onFeeds = byFeed(this.watchers.all());
    for (const watcher of this.watchers.all()) this.#shared.attempt(() => this.watchers.remove(watcher));
    for (const [feed, watchers] of onFeeds) this.#shared.attempt(() => feed.leave(watchers));
    this.#shared.attempt(() => this.#line.close());
    this.#shared.attempt(() => this.#shared.leader.remove(this));
    this.#shared.attempt(() => this.feeds.leave(this));
    this.#progress.close();
  }
}
