/**
 * Holds new streams back while too many are reset before anybody could answer them (CVE-2023-44487), or spoiled so that
 * we have to reset them (CVE-2025-8671). Each of those has made its owner begin work, of which etcd does a part, for
 * nothing. A stream that waits costs little, and less when it is reset; those that were begun before are not touched.
 *
 * Honest clients give up too, by the hundred when etcd stalls. So nobody is refused: some streams begin in any case,
 * and one more for each that is answered, so that a client whose calls are answered again hardly waits at all.
 */
import { callStream } from './dispatch.ts';
import { RateLimit } from './rate-limit.ts';
import type { Reports } from './reports.ts';
import type { Http2Settings } from './settings.ts';
import type { Stream } from './stream.ts';

/** New streams get their share of the rate in slices of this many milliseconds. */
const SLICE_MS = 100;

/** Of those that waited so many begin in one turn of the event loop: about as many as are read in one. */
const PER_TURN = 1024;

/** Nothing is ever put in here. */
const NONE = new Set<Stream>();

/** The connection that the streams are on. */
export interface GatedConnection {
  readonly settings: Http2Settings;
  readonly reports: Reports;
  readonly closed: boolean;
  readonly now: number;
  wake(): void;
  onResumed(stream: Stream): void;
}

/** What new streams of one connection pass. */
export class Gate {
  /** They have to wait. */
  shut = false;
  private readonly connection: GatedConnection;
  private readonly waste: RateLimit;
  /** Streams that may begin in a slice, answered or not. */
  private readonly share: number;
  /** {@link NONE} until one has to wait, as hardly any ever does. */
  private waiting = NONE;
  /** Streams that may begin now. */
  private credits = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(connection: GatedConnection) {
    const { maxResetsPerSecond, maxResetsBurst } = connection.settings;
    this.connection = connection;
    this.waste = new RateLimit(maxResetsPerSecond, maxResetsBurst, connection.now);
    this.share = Math.max(1, (maxResetsPerSecond * SLICE_MS) / 1000);
  }

  /** True when {@link pump} has something to do. */
  get ready(): boolean {
    return this.credits >= 1 && this.waiting.size > 0;
  }

  /** A stream that was begun has come to nothing. */
  onWasted(): void {
    const { connection } = this;
    if (this.waste.take(connection.now) || this.shut || connection.closed) return;
    this.shut = true;
    this.credits = this.share;
    connection.reports.reached('maxResetsPerSecond');
    this.wait();
  }

  /** A stream is answered: another one may begin. */
  onAnswered(): void {
    if (!this.shut) return;
    this.credits = Math.min(this.share, this.credits + 1);
    if (this.ready) this.connection.wake();
  }

  /** Takes a new stream in if it has to wait; what arrives for it is kept meanwhile. */
  holds(stream: Stream): boolean {
    if (!this.shut) return false;
    if (this.credits >= 1 && this.waiting.size === 0) {
      this.credits--;
      return false;
    }
    stream.waits = true;
    stream.pause();
    if (this.waiting === NONE) this.waiting = new Set();
    this.waiting.add(stream);
    return true;
  }

  /** A stream that waits is closed. */
  forget(stream: Stream): void {
    this.waiting.delete(stream);
  }

  /** Begins streams that may begin now, in the order of their arrival; where they are many, {@link ready} says that more may. */
  pump(): void {
    let begun = 0;
    for (const stream of this.waiting) {
      if (this.credits < 1 || ++begun > PER_TURN) return;
      this.credits--;
      this.begin(stream);
    }
  }

  /** The connection is closed. */
  stop(): void {
    clearTimeout(this.timer);
    this.waiting.clear();
  }

  private begin(stream: Stream): void {
    this.waiting.delete(stream);
    stream.waits = false;
    // Its owner may pause it again, so this comes first.
    const more = stream.input.resume();
    callStream(stream);
    if (more && !stream.closed) this.connection.onResumed(stream);
  }

  private wait(): void {
    this.timer = setTimeout(() => this.sliceOver(), SLICE_MS);
    this.timer.unref();
  }

  private sliceOver(): void {
    this.shut = !this.waste.hasRoom(performance.now());
    this.credits = this.shut ? this.share : this.waiting.size;
    if (this.shut) this.wait();
    if (this.ready) this.connection.wake();
  }
}
