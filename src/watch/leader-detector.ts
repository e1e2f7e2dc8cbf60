/**
 * The leader, for the streams of clients that demand one (`hasleader`), whoever they are: their feeds do not carry the
 * demand, so that others can ride on them. As etcd does, a stream that begins is refused at once where etcd's member
 * knows no leader: one question is asked for all that begin at a time. And those that run end when etcd ends the
 * detector's own stream, on which nothing is watched: three election time-outs after the member has lost the leader.
 * Neither needs a token, since etcd looks at the leader before it looks at who asks.
 */

import type { LeaderDemands, LeaderSink } from '../clients/leader-demands.ts';
import { Probe, type ProbeResult, type Read } from '../clients/probe.ts';
import { ANY_RANGE } from '../clients/probes.ts';
import { NO_LEADER, saysNoLeader } from '../etcd/words.ts';
import type { ClientStream, ClientStreamListener } from '../rpc/contract.ts';
import { RetryDelay } from '../rpc/retry-delay.ts';
import { Code, type Status } from '../rpc/status.ts';
import { LIVED_MS } from './rides/company.ts';

/** How etcd is asked; both demand a leader. */
export interface LeaderSource {
  /** Sends a Range. */
  readonly read: Read;
  /** Opens a watch stream. */
  readonly open: (listener: ClientStreamListener) => ClientStream;
}

export class LeaderDetector implements LeaderDemands, ClientStreamListener {
  readonly #source: LeaderSource;
  readonly #probe: Probe;
  readonly #sinks = new Set<LeaderSink>();
  readonly #delay = new RetryDelay();
  #stream: ClientStream | undefined;
  #timer: NodeJS.Timeout | undefined;
  #openedAt = 0;

  constructor(source: LeaderSource) {
    this.#source = source;
    this.#probe = new Probe(source.read, ANY_RANGE.start, ANY_RANGE.rangeEnd);
  }

  /** A client's stream begins. */
  add(sink: LeaderSink): void {
    this.#sinks.add(sink);
    this.#probe.ask({ askedStart: 0, onProbed: (result) => this.#onAnswer(sink, result) });
    if (this.#stream === undefined && this.#timer === undefined) this.#open();
  }

  /** It is over. */
  remove(sink: LeaderSink): void {
    if (!this.#sinks.delete(sink) || this.#sinks.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#stream?.cancel();
    this.#stream = undefined;
  }

  onHeaders(): void {
    // They come with the first message, of which there is none.
  }

  onMessage(): void {
    // Nothing was asked.
  }

  onDrain(): void {
    // Nothing is sent.
  }

  onEnd(status: Status): void {
    this.#stream = undefined;
    if (performance.now() - this.#openedAt >= LIVED_MS) this.#delay.reset();
    if (saysNoLeader(status)) for (const sink of [...this.#sinks]) sink.fail(Code.UNAVAILABLE, NO_LEADER);
    if (this.#sinks.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#open();
    }, this.#delay.next());
  }

  #open(): void {
    this.#openedAt = performance.now();
    this.#stream = this.#source.open(this);
  }

  /** A refusal is one of who asks, without a token: there is a leader. */
  #onAnswer(sink: LeaderSink, result: ProbeResult): void {
    if (!this.#sinks.has(sink)) return;
    if (result.kind === 'failed') sink.fail(result.error.code, result.error.message);
    else sink.onLeader();
  }
}
