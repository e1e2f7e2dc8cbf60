/**
 * A gRPC client that has nothing in common with the proxy: grpc-js with messages left as bytes, so that a test
 * sees every byte of a message, all metadata of the answer, and the whole status.
 */
import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type StatusObject,
} from '@grpc/grpc-js';

/** Metadata by name; values of names that end in `-bin` are base64 text. */
export type MetadataLists = Readonly<Record<string, readonly string[]>>;

/** How a call ended. */
export interface GrpcEnd {
  readonly code: number;
  readonly message: string;
  /** `grpc-status-details-bin` in base64, where there is one. */
  readonly details: string | undefined;
  /** The trailers, without those that are in the other fields. */
  readonly trailers: MetadataLists;
}

/** How to make a call. */
export interface CallOptions {
  /** Request metadata; values of names that end in `-bin` are base64 text. */
  readonly metadata?: Readonly<Record<string, string | readonly string[]>>;
  /** The deadline of the call, from now. */
  readonly timeoutMs?: number;
}

/** A call that goes on, as seen by its client. */
export interface OpenCall {
  /** The next message, or undefined where the call has ended. Fails where neither comes in time. */
  next(limitMs?: number): Promise<Uint8Array | undefined>;
  /** How it ended. */
  readonly end: Promise<GrpcEnd>;
  /** The response headers so far; undefined where there are none. */
  readonly headers: MetadataLists | undefined;
  cancel(): void;
}

/** A whole call: what came back and how it ended. */
export interface GrpcOutcome extends GrpcEnd {
  readonly messages: readonly Uint8Array[];
  readonly headers: MetadataLists | undefined;
}

const detailsName = 'grpc-status-details-bin';
const waitLimitMs = 20_000;

function toLists(metadata: Metadata, without?: string): MetadataLists {
  const lists: Record<string, readonly string[]> = {};
  for (const name of Object.keys(metadata.getMap()).sort()) {
    if (name === without) continue;
    lists[name] = metadata
      .get(name)
      .map((value) => (typeof value === 'string' ? value : value.toString('base64')));
  }
  return lists;
}

function toMetadata(from: CallOptions['metadata'] = {}): Metadata {
  const metadata = new Metadata();
  for (const [name, values] of Object.entries(from)) {
    for (const value of typeof values === 'string' ? [values] : values)
      metadata.add(name, name.endsWith('-bin') ? Buffer.from(value, 'base64') : value);
  }
  return metadata;
}

function toEnd(status: StatusObject): GrpcEnd {
  const details = status.metadata.get(detailsName)[0];
  return {
    code: status.code,
    message: status.details,
    details: details === undefined ? undefined : Buffer.from(details).toString('base64'),
    trailers: toLists(status.metadata, detailsName),
  };
}

/** Fails with a text where a promise takes too long. */
export async function withLimit<T>(promise: Promise<T>, limitMs: number, what: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`no ${what} within ${limitMs} ms`)), limitMs);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Messages that were received, waiting to be taken, and those who wait for them. */
export class Inbox {
  private readonly unread: Uint8Array[] = [];
  private closed = false;
  private changed = Promise.withResolvers<void>();

  /** How many messages nobody has taken yet. */
  get size(): number {
    return this.unread.length;
  }

  put(message: Uint8Array): void {
    this.unread.push(message);
    this.tell();
  }

  close(): void {
    this.closed = true;
    this.tell();
  }

  private tell(): void {
    this.changed.resolve();
    this.changed = Promise.withResolvers();
  }

  /** The next message, or undefined after the last one. */
  async take(limitMs = waitLimitMs): Promise<Uint8Array | undefined> {
    const deadline = Date.now() + limitMs;
    while (this.unread.length === 0 && !this.closed) {
      await withLimit(this.changed.promise, Math.max(1, deadline - Date.now()), 'message');
    }
    return this.unread.shift();
  }
}

/** A call of any kind; on the wire the kinds differ only in how many messages each side sends. */
export class RawCall implements OpenCall {
  readonly end: Promise<GrpcEnd>;
  headers: MetadataLists | undefined;
  private readonly inbox = new Inbox();
  private readonly stream: ClientDuplexStream<Uint8Array, Buffer>;

  constructor(stream: ClientDuplexStream<Uint8Array, Buffer>) {
    this.stream = stream;
    const { promise, resolve } = Promise.withResolvers<GrpcEnd>();
    this.end = promise;
    stream.on('metadata', (metadata: Metadata) => {
      this.headers = toLists(metadata);
    });
    stream.on('data', (message: Buffer) => this.inbox.put(message));
    stream.on('error', () => {}); // the same as the status, which `end` tells
    stream.on('status', (status: StatusObject) => {
      resolve(toEnd(status));
      this.inbox.close();
    });
  }

  /** How many messages have come that nobody has taken yet. */
  get unread(): number {
    return this.inbox.size;
  }

  send(message: Uint8Array): void {
    this.stream.write(message);
  }

  halfClose(): void {
    this.stream.end();
  }

  cancel(): void {
    this.stream.cancel();
  }

  /** Stops reading, so that flow control stops the server. */
  pause(): void {
    this.stream.pause();
  }

  /** Reads again. */
  resume(): void {
    this.stream.resume();
  }

  next(limitMs?: number): Promise<Uint8Array | undefined> {
    return this.inbox.take(limitMs);
  }
}

/** Takes all messages of a call and its end. */
export async function collect(call: OpenCall, limitMs = waitLimitMs): Promise<GrpcOutcome> {
  const messages: Uint8Array[] = [];
  for (;;) {
    const message = await call.next(limitMs);
    if (message === undefined) break;
    messages.push(message);
  }
  const end = await withLimit(call.end, limitMs, 'status');
  return { messages, headers: call.headers, ...end };
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const asIs = (bytes: Buffer): Buffer => bytes;

/** A client with one connection of its own. */
export class RawGrpcClient implements Disposable {
  private readonly client: Client;

  constructor(
    address: string,
    options: ChannelOptions = {},
    security: ChannelCredentials = credentials.createInsecure(),
  ) {
    this.client = new Client(address, security, {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      'grpc.enable_retries': 0,
      'grpc.enable_http_proxy': 0,
      'grpc.use_local_subchannel_pool': 1,
      ...options,
    });
  }

  /** Opens a call of a path, such as `/etcdserverpb.KV/Range`, and leaves it open for more messages. */
  open(path: string, options: CallOptions = {}): RawCall {
    const deadline = options.timeoutMs === undefined ? {} : { deadline: Date.now() + options.timeoutMs };
    const metadata = toMetadata(options.metadata);
    return new RawCall(this.client.makeBidiStreamRequest(path, asBuffer, asIs, metadata, deadline));
  }

  /** Makes a call with all that its client has to say, and waits for its end. */
  call(
    path: string,
    messages: readonly Uint8Array[],
    options: CallOptions & { readonly limitMs?: number } = {},
  ): Promise<GrpcOutcome> {
    const call = this.open(path, options);
    for (const message of messages) call.send(message);
    call.halfClose();
    return collect(call, options.limitMs);
  }

  close(): void {
    this.client.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
