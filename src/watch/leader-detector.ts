/**
 * Watches the leader for clients that want one (`hasleader`), as long as there are any: a stream to etcd on which
 * nothing is watched, which etcd ends when its member has lost the leader. So a client's stream without watches ends too.
 */
import { NO_LEADER, saysNoLeader } from '../etcd/words.ts';
import type { ClientStream, ClientStreamListener } from '../rpc/contract.ts';
import { RetryDelay } from '../rpc/retry-delay.ts';
import { Code, type Status } from '../rpc/status.ts';
import type { WatchSink } from './watcher.ts';

export class LeaderDetector implements ClientStreamListener {
  readonly #open: (listener: ClientStreamListener) => ClientStream;
  readonly #sinks = new Set<WatchSink>();
  readonly #delay = new RetryDelay();
  #stream: ClientStream | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param open opens a watch stream to etcd that asks for a leader */
  constructor(open: (listener: ClientStreamListener) => ClientStream) {
    this.#open = open;
  }

  /** A client's stream begins. */
  add(sink: WatchSink): void {
    this.#sinks.add(sink);
    if (this.#stream === undefined && this.#timer === undefined) this.#stream = this.#open(this);
  }

  /** It is over. */
  remove(sink: WatchSink): void {
    this.#sinks.delete(sink);
    if (this.#sinks.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#stream?.cancel();
    this.#stream = undefined;
  }

  onHeaders(): void {
    this.#delay.reset();
  }

  onMessage(): void {
    // Nothing was asked.
  }

  onDrain(): void {
    // Nothing is sent.
  }

  onEnd(status: Status): void {
    this.#stream = undefined;
    if (saysNoLeader(status)) for (const sink of [...this.#sinks]) sink.fail(Code.UNAVAILABLE, NO_LEADER);
    if (this.#sinks.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#stream = this.#open(this);
    }, this.#delay.next());
  }
}
