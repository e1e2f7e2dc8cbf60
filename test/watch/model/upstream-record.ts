/**
 * What etcd told the proxy: every watch between the two, as it passed the wires. When a client misses an event, this
 * says whether the proxy ever had it.
 */
import { fromBinary } from '@bufbuild/protobuf';
import {
  type WatchCreateRequest,
  WatchRequestSchema,
  type WatchResponse,
  WatchResponseSchema,
} from '#gen/etcdserverpb/watch_pb.js';
import type { CallListener } from '../../support/grpc-tap.ts';
import { WATCH } from '../../support/watch-client.ts';
import { type Happening, happening, nameOf } from './history.ts';
import { type KeySpan, spans } from './key-span.ts';

/** One watch of the proxy's. */
class UpstreamWatch {
  over = false;
  readonly #about: string;
  readonly #span: KeySpan;
  /** Events from here on are owed to it. */
  #start = Number.POSITIVE_INFINITY;
  readonly #told = new Set<string>();
  /** The highest revision of an event. */
  #latest = 0;
  /** Everything that was said, in order. */
  readonly #lines: Line[] = [];

  constructor(about: string, { key, rangeEnd, startRevision }: WatchCreateRequest) {
    this.#about = about;
    this.#span = { key: text(key), end: text(rangeEnd) };
    if (startRevision > 0n) this.#start = Number(startRevision);
    this.say(0, `asked for ${JSON.stringify(this.#span)} from ${startRevision}`);
  }

  take(response: WatchResponse): void {
    const revision = Number(response.header?.revision);
    if (response.created && !response.canceled) this.#start = Math.min(this.#start, revision + 1);
    if (response.canceled) this.over = true;
    const events = response.events.map(happening);
    for (const event of events) {
      this.#told.add(nameOf(event));
      this.#latest = Math.max(this.#latest, event.revision);
    }
    const flags = [
      ...(response.created ? ['created'] : []),
      ...(response.canceled ? [`canceled ${response.compactRevision} ${response.cancelReason}`] : []),
      ...(response.fragment ? ['fragment'] : []),
      ...events.map(({ revision, key, isDelete }) => `${isDelete ? '-' : '+'}${key}@${revision}`),
    ];
    this.say(revision, flags.join(' ') || 'progress');
  }

  owed({ key, revision }: Happening): boolean {
    return revision >= this.#start && spans(this.#span, key);
  }

  /** Whether it left out an event that it was owed: later ones came, or it is still open, long after. */
  leftOut(event: Happening): boolean {
    if (!this.owed(event) || this.#told.has(nameOf(event))) return false;
    return !this.over || this.#latest > event.revision;
  }

  /** What was said around the time of an event. */
  report(event: Happening): string {
    const at = this.#lines.findIndex(({ revision }) => revision >= event.revision);
    const said = this.#lines.filter((_, i) => i < 3 || Math.abs(i - at) < NEAR || i > this.#lines.length - 3);
    return [this.#about, ...said.map(({ time, revision, text }) => `${time} at ${revision}: ${text}`)].join(
      '\n    ',
    );
  }

  say(revision: number, text: string): void {
    const short = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)} ...` : text;
    this.#lines.push({ time: Date.now() % 1_000_000, revision, text: short });
  }
}

/** One stream, with as many watches as the proxy puts on it. */
class UpstreamStream implements CallListener {
  over = false;
  /** Every watch that it has had. */
  readonly watches: UpstreamWatch[] = [];
  readonly #about: string;
  /** Creates that have not been answered, which etcd does in order. */
  readonly #asked: UpstreamWatch[] = [];
  readonly #byId = new Map<bigint, UpstreamWatch>();

  constructor(about: string) {
    this.#about = about;
  }

  /** Watches that it has now. */
  get size(): number {
    return this.over ? 0 : this.#byId.size;
  }

  request(message: Uint8Array): void {
    const { requestUnion } = fromBinary(WatchRequestSchema, message);
    if (requestUnion.case !== 'createRequest') return;
    const watch = new UpstreamWatch(this.#about, requestUnion.value);
    this.watches.push(watch);
    this.#asked.push(watch);
  }

  reply(message: Uint8Array): void {
    const response = fromBinary(WatchResponseSchema, message);
    const { created, canceled, watchId } = response;
    const asked = created ? this.#asked.shift() : undefined;
    if (asked !== undefined && !canceled) this.#byId.set(watchId, asked);
    // What is for no watch is a progress response, which is for all.
    const about = asked ?? this.#byId.get(watchId);
    for (const watch of about === undefined ? this.#byId.values() : [about]) watch.take(response);
    if (canceled) this.#byId.delete(watchId);
  }

  ended(): void {
    this.over = true;
    for (const watch of this.watches) {
      watch.over = true;
      watch.say(0, 'over');
    }
  }
}

interface Line {
  readonly time: number;
  /** The header's. */
  readonly revision: number;
  readonly text: string;
}

/** Lines of a report before and after the one that matters, and how long each may be. */
const NEAR = 5;
const MAX_TEXT = 200;
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

export class UpstreamRecord {
  #streams: UpstreamStream[] = [];

  /** Listens to a call to a member, if it is a watch. */
  listen(member: number, path: string): CallListener | undefined {
    if (path !== WATCH) return undefined;
    const stream = new UpstreamStream(`to member ${member}`);
    this.#streams.push(stream);
    return stream;
  }

  /** Forgets the streams that are over. */
  forget(): void {
    this.#streams = this.#streams.filter(({ over }) => !over);
  }

  /** Watches that the proxy has on all members. */
  get size(): number {
    return this.#streams.reduce((sum, { size }) => sum + size, 0);
  }

  /** Whether etcd left an event out of a watch of the proxy's that it owed it to. */
  leftOut(event: Happening): boolean {
    return this.#streams.some(({ watches }) => watches.some((watch) => watch.leftOut(event)));
  }

  /** The watches that should have brought an event, and what they brought instead. */
  report(event: Happening): string {
    const owed = this.#streams.flatMap(({ watches }) => watches.filter((watch) => watch.owed(event)));
    return owed.map((watch) => watch.report(event)).join('\n  ');
  }
}
