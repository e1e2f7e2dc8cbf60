/**
 * Puts together what etcd had as one response and sends in parts: a long message as it comes, or fragments. What is put
 * together is one response again, unless it grows too large: then the revisions that are whole go on, and only those. So
 * what is kept is bounded, but for a revision that is larger by itself: watchers get each revision at once.
 */
import { NO_HEADER } from '../etcd/header.ts';
import { MalformedMessage, wholeFields } from '../etcd/scanner.ts';
import {
  type EventRecord,
  ResponseFields,
  readResponse,
  type WatchResponse,
} from '../etcd/watch-response.ts';
import type { PartSink } from '../rpc/contract.ts';
import { Code, RpcError, tooLargeFromEtcd } from '../rpc/status.ts';

/** Bounds in bytes. */
export interface AssemblyLimits {
  /** One response is put together up to this size. */
  readonly one: number;
  /** All of them together hold so much. */
  readonly all: number;
  /** Largest revision that is put together, whatever the other bounds say. */
  readonly revision: number;
}

/** The limits of the proxy, but for `revision`, which is a setting. */
export const ASSEMBLY_LIMITS = { one: 64 << 20, all: 256 << 20 };

/** What all responses that are being put together hold, and the bounds of that. */
export class AssemblyBounds {
  bytes = 0;
  readonly limits: AssemblyLimits;
  /** Revisions go on that etcd had in one response with others. */
  readonly onFull: () => void;

  constructor(limits: AssemblyLimits, onFull: () => void) {
    this.limits = limits;
    this.onFull = onFull;
  }

  /** Whether no more may be put together to what has so many bytes. */
  isFull(own: number): boolean {
    return own >= this.limits.one || this.bytes >= this.limits.all;
  }
}

/** What a stream ends with whose responses cannot be put together. @param error what the assembly threw */
export function watchFailureOf(error: RpcError): RpcError {
  if (!(error instanceof MalformedMessage)) return error;
  return new RpcError(Code.INTERNAL, 'etcd sent a malformed watch response');
}

/** The responses of one stream. What it is given may throw: `MalformedMessage`, or `RpcError` for a revision that is too large. */
export class ResponseAssembly implements PartSink {
  readonly #bounds: AssemblyBounds;
  readonly #onResponse: (response: WatchResponse) => void;
  /** The message that is coming, as far as it has been read, and the bytes of it that have not. */
  #message: ResponseFields | undefined;
  #unread: Buffer[] = [];
  #unreadBytes = 0;
  /** So many of these make it worth to go on reading. */
  #need = 0;
  /** Events that are kept until they are whole. */
  #events: EventRecord[] = [];
  /** The revision of the last one, and how many come before all of that revision. */
  #last = 0;
  #whole = 0;
  /** Their bytes. */
  #held = 0;

  /** @param onResponse takes responses with whole revisions; one with `fragment` is followed by more of what etcd had in one */
  constructor(bounds: AssemblyBounds, onResponse: (response: WatchResponse) => void) {
    this.#bounds = bounds;
    this.#onResponse = onResponse;
  }

  onMessage(message: Uint8Array): void {
    const response = readResponse(message);
    if (response.fragment || this.#events.length > 0) this.#add(response, response.fragment);
    else this.#onResponse(response);
  }

  onPart(part: Buffer, left: number): void {
    this.#unread.push(part);
    this.#unreadBytes += part.length;
    if (left > 0 && this.#unreadBytes < this.#need) return;
    const bytes = this.#unread.length === 1 ? part : Buffer.concat(this.#unread, this.#unreadBytes);
    const message = this.#message ?? new ResponseFields();
    const { length, next } = left > 0 ? wholeFields(bytes) : { length: bytes.length, next: 0 };
    message.read(bytes.subarray(0, length));
    this.#unread = left > 0 ? [bytes.subarray(length)] : [];
    this.#unreadBytes = bytes.length - length;
    this.#need = next;
    this.#message = left > 0 ? message : undefined;
    this.#add(message, left > 0 || message.fragment);
  }

  /** Lets go of what is kept: nobody waits for it. */
  drop(): void {
    this.#take(this.#events.length);
    this.#message = undefined;
    this.#unread = [];
  }

  /** Takes the events out of a response, and hands on what may go. @param more whether more of what etcd had as one follows */
  #add(response: ResponseFields, more: boolean): void {
    this.#keep(response.events);
    response.events = [];
    if (!more) this.#onResponse({ ...response, ...this.#take(this.#events.length) });
    else if (this.#bounds.isFull(this.#held)) this.#relieve(response);
  }

  #keep(events: readonly EventRecord[]): void {
    let bytes = 0;
    for (const event of events) {
      if (event.revision !== this.#last) {
        this.#last = event.revision;
        this.#whole = this.#events.length;
      }
      this.#events.push(event);
      bytes += event.end - event.start;
    }
    this.#hold(bytes);
  }

  /** Hands on the revisions that are whole: all but the last, which may go on. */
  #relieve(response: WatchResponse): void {
    const { limits, onFull } = this.#bounds;
    if (this.#whole > 0 && response.header !== NO_HEADER) {
      onFull();
      this.#onResponse({ ...response, fragment: true, ...this.#take(this.#whole) });
    } else if (this.#held > limits.revision)
      throw new RpcError(Code.RESOURCE_EXHAUSTED, tooLargeFromEtcd(this.#held, limits.revision));
  }

  /** Takes out so many events. @returns them and their bytes: the message that brought the last of them has others, and not all */
  #take(count: number): Pick<WatchResponse, 'events' | 'size'> {
    const taken = this.#events;
    this.#events = taken.slice(count);
    taken.length = count;
    let bytes = 0;
    for (const { start, end } of this.#events) bytes += end - start;
    const size = this.#held - bytes;
    this.#hold(-size);
    this.#whole = 0;
    return { events: taken, size };
  }

  #hold(bytes: number): void {
    this.#held += bytes;
    this.#bounds.bytes += bytes;
  }
}
