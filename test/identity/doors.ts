/** Reads and watches of a client of any identity, through any door, told in a few words so that two can be compared. */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { type Client, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { Browser } from '#gen/etcdconnect/v1/browser_pb.js';
import { KV, RangeRequestSchema, type RangeResponse, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import type { WatchResponse } from '#gen/etcdserverpb/watch_pb.js';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { type Create, WatchCall } from '../support/watch-client.ts';

/** What to read. */
export type Read = MessageInitShape<typeof RangeRequestSchema>;

/** What calls of a client carry. */
export type Credentials = Readonly<Record<string, string>>;

/** A way to etcd or to a proxy. */
export interface Door extends Disposable {
  readonly name: string;
  range(request: Read, who: Credentials): Promise<string>;
  watch(request: Create, who: Credentials): Watching;
}

const LIMIT_MS = 30_000;
const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();

function pairsIn({ kvs, count }: RangeResponse): string {
  return `${count}: ${kvs.map(({ key, value, modRevision }) => `${text(key)}=${text(value)}@${modRevision}`).join(' ')}`;
}

/** One watch and everything that its client has been told. */
export class Watching {
  /** What it was told first: that there is a watch, or why there is none. */
  readonly first: Promise<string>;
  /** Events in their order, as `key=value@revision`. */
  readonly events: string[] = [];
  /** Why it is over, if it is. */
  over: string | undefined;
  readonly close: () => void;
  #first = Promise.withResolvers<string>();
  #words: (event: string) => string = (event) => event;

  /** @param begin starts to tell `take` of each response and `end` of the end; returns what ends it */
  constructor(begin: (take: (response: WatchResponse) => void, end: (why: string) => void) => () => void) {
    this.first = this.#first.promise;
    this.close = begin(
      (response) => this.#take(response),
      (why) => this.#end(why),
    );
  }

  /** From now on events are told in other words. */
  told(words: (event: string) => string): this {
    this.#words = words;
    return this;
  }

  #take({ created, canceled, cancelReason, compactRevision, events }: WatchResponse): void {
    for (const { type, kv } of events)
      this.events.push(
        this.#words(`${text(kv?.key)}${type === 1 ? '' : `=${text(kv?.value)}`}@${kv?.modRevision}`),
      );
    if (created && !canceled) this.#first.resolve('created');
    if (canceled) this.#end(`canceled: ${cancelReason} ${compactRevision}`);
  }

  #end(why: string): void {
    this.over ??= why;
    this.#first.resolve(why);
  }
}

class GrpcDoor implements Door {
  readonly name = 'gRPC';
  readonly #client: RawGrpcClient;

  constructor(address: string) {
    this.#client = new RawGrpcClient(address);
  }

  async range(request: Read, who: Credentials): Promise<string> {
    const message = toBinary(RangeRequestSchema, create(RangeRequestSchema, request));
    const outcome = await this.#client.call('/etcdserverpb.KV/Range', [message], {
      metadata: who,
      limitMs: LIMIT_MS,
    });
    const [reply] = outcome.messages;
    if (outcome.code !== 0 || reply === undefined) return `${outcome.code} ${outcome.message}`;
    return pairsIn(fromBinary(RangeResponseSchema, reply));
  }

  watch(request: Create, who: Credentials): Watching {
    return new Watching((take, end) => {
      const call = new WatchCall(this.#client, { metadata: who });
      call.create(request);
      const read = async () => {
        for (let next = await call.next(2 ** 30); next !== undefined; next = await call.next(2 ** 30))
          take(next);
        const { code, message } = await call.end;
        end(`${code} ${message}`);
      };
      void read();
      return () => call.close();
    });
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

class WebDoor implements Door {
  readonly name: string;
  readonly #kv: Client<typeof KV>;
  readonly #browser: Client<typeof Browser>;

  constructor(name: string, transport: Transport) {
    this.name = name;
    this.#kv = createClient(KV, transport);
    this.#browser = createClient(Browser, transport);
  }

  async range(request: Read, who: Credentials): Promise<string> {
    try {
      return pairsIn(await this.#kv.range(request, { headers: who, timeoutMs: LIMIT_MS }));
    } catch (error) {
      const { code, rawMessage } = ConnectError.from(error);
      return `${code} ${rawMessage}`;
    }
  }

  watch(request: Create, who: Credentials): Watching {
    return new Watching((take, end) => {
      const over = new AbortController();
      const read = async () => {
        try {
          for await (const response of this.#browser.watch(request, { headers: who, signal: over.signal }))
            take(response);
          end('0 ');
        } catch (error) {
          const { code, rawMessage } = ConnectError.from(error);
          end(`${code} ${rawMessage}`);
        }
      };
      void read();
      return () => over.abort();
    });
  }

  [Symbol.dispose](): void {
    // The transport lets go of its connections when they are not used.
  }
}

/** etcd as somebody sees it to whom all keys outside a prefix, and the prefix itself, are not there. */
class InsideDoor implements Door {
  readonly name = 'gRPC';
  readonly #door: Door;
  readonly #prefix: string;

  constructor(door: Door, prefix: string) {
    this.#door = door;
    this.#prefix = prefix;
  }

  async range(request: Read, who: Credentials): Promise<string> {
    return (await this.#door.range({ ...request, ...this.#keysOf(request) }, who)).replaceAll(
      this.#prefix,
      '',
    );
  }

  watch(request: Create, who: Credentials): Watching {
    const without = (text: string): string => text.replace(this.#prefix, '');
    return this.#door.watch({ ...request, ...this.#keysOf(request) }, who).told(without);
  }

  [Symbol.dispose](): void {
    // The door is somebody else's.
  }

  #keysOf({ key, rangeEnd }: { readonly key?: Uint8Array; readonly rangeEnd?: Uint8Array }) {
    const end = text(rangeEnd);
    const last = `${this.#prefix.slice(0, -1)}${String.fromCharCode(this.#prefix.charCodeAt(this.#prefix.length - 1) + 1)}`;
    return {
      key: Buffer.from(`${this.#prefix}${text(key)}`),
      rangeEnd: Buffer.from(end === '' ? '' : end === '\0' ? last : `${this.#prefix}${end}`),
    };
  }
}

/** The door to etcd itself. */
export function directDoor(address: string): Door {
  return new GrpcDoor(address);
}

/** The same, for who sees the keys below a prefix alone. */
export function insideDoor(door: Door, prefix: string): Door {
  return prefix === '' ? door : new InsideDoor(door, prefix);
}

/** All doors of a proxy. */
export function doorsOf(address: string): Door[] {
  const baseUrl = `http://${address}`;
  return [
    new GrpcDoor(address),
    new WebDoor('Connect', createConnectTransport({ baseUrl, httpVersion: '1.1' })),
    new WebDoor('gRPC-Web', createGrpcWebTransport({ baseUrl, httpVersion: '2' })),
  ];
}
