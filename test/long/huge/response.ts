/** Reads responses of watches with a million events at little cost: no object for any of them. */
import { NUMBER_AT, NUMBER_END } from './story.ts';

/** Hears of the events of a response. */
export interface EventListener {
  /** @param previous the number of the key before, or -1 where none is told */
  onEvent(isDelete: boolean, number: number, revision: number, previous: number): void;
}

/** What else a response says. */
export interface Seen {
  fragment: boolean;
  canceled: boolean;
}

/** Tags of etcd's messages. */
const RESPONSE = { canceled: 0x20, fragment: 0x38, event: 0x5a } as const;
const EVENT = { type: 0x08, kv: 0x12, prevKv: 0x1a } as const;
const KEY_VALUE = { key: 0x0a, modRevision: 0x18 } as const;

class Reader {
  at = 0;
  /** Of the key and the revision of the value that was read last. */
  number = -1;
  revision = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#bytes[this.at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  /** Goes past a field of which nobody wants to know. */
  skip(tag: number): void {
    const value = this.varint();
    if ((tag & 7) === 2) this.at += value;
  }

  keyValue(): void {
    const end = this.varint() + this.at;
    while (this.at < end) {
      const tag = this.varint();
      if (tag === KEY_VALUE.modRevision) this.revision = this.varint();
      else if (tag === KEY_VALUE.key) {
        const length = this.varint();
        this.number = 0;
        for (let i = NUMBER_AT; i < NUMBER_END; i++)
          this.number = this.number * 10 + (this.#bytes[this.at + i] as number) - 48;
        this.at += length;
      } else this.skip(tag);
    }
  }

  event(listener: EventListener): void {
    const end = this.varint() + this.at;
    let isDelete = false;
    let previous = -1;
    let [number, revision] = [-1, 0];
    while (this.at < end) {
      const tag = this.varint();
      if (tag === EVENT.type) isDelete = this.varint() === 1;
      else if (tag === EVENT.kv) {
        this.keyValue();
        ({ number, revision } = this);
      } else if (tag === EVENT.prevKv) {
        this.keyValue();
        previous = this.number;
      } else this.skip(tag);
    }
    listener.onEvent(isDelete, number, revision, previous);
  }
}

/** Reads a response. */
export function readResponse(bytes: Uint8Array, listener: EventListener): Seen {
  const seen: Seen = { fragment: false, canceled: false };
  const reader = new Reader(bytes);
  while (reader.at < bytes.length) {
    const tag = reader.varint();
    if (tag === RESPONSE.event) reader.event(listener);
    else if (tag === RESPONSE.fragment) seen.fragment = reader.varint() === 1;
    else if (tag === RESPONSE.canceled) seen.canceled = reader.varint() === 1;
    else reader.skip(tag);
  }
  return seen;
}
