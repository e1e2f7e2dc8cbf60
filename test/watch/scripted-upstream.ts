/**
 * An upstream that says to the hub what a test makes it say, for what no real etcd does on demand: a Status that fails
 * once, one stream of several that ends.
 */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { ResponseHeaderSchema } from '#gen/etcdserverpb/header_pb.js';
import { RangeRequestSchema, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { StatusResponseSchema } from '#gen/etcdserverpb/maintenance_pb.js';
import {
  type WatchCreateRequest,
  WatchRequestSchema,
  WatchResponseSchema,
} from '#gen/etcdserverpb/watch_pb.js';
import type { Call, ClientStream, ClientStreamListener, Upstream } from '../../src/rpc/contract.ts';
import { Code, RpcError, type Status } from '../../src/rpc/status.ts';

/** etcd's words. */
const FUTURE = 'etcdserver: mvcc: required revision is a future revision';
const COMPACTED = 'etcdserver: mvcc: required revision has been compacted';

/** A watch stream to etcd as the hub opened it. */
export class ScriptedStream implements ClientStream {
  readonly sent: Uint8Array[] = [];
  /** The watches that the hub has asked for on it, in that order. */
  readonly watches: ScriptedWatch[] = [];
  /** Questions about the progress of all of them. */
  questions = 0;
  cancelled = false;
  paused = false;
  readonly #listener: ClientStreamListener;
  readonly #upstream: ScriptedUpstream;

  constructor(upstream: ScriptedUpstream, listener: ClientStreamListener) {
    this.#upstream = upstream;
    this.#listener = listener;
  }

  /** etcd's response, with a header of this revision. */
  say(revision: number, response: MessageInitShape<typeof WatchResponseSchema>): void {
    const header = {
      clusterId: this.#upstream.cluster,
      memberId: this.#upstream.member,
      revision: BigInt(revision),
    };
    this.#listener.onMessage(
      toBinary(
        WatchResponseSchema,
        create(WatchResponseSchema, { ...response, header: create(ResponseHeaderSchema, header) }),
      ),
    );
  }

  /** etcd answers a question. */
  answer(revision: number): void {
    this.say(revision, { watchId: -1n });
  }

  /** etcd ends it. */
  end(status: Status): void {
    for (const watch of this.watches) watch.answered = true;
    this.#listener.onEnd(status, { fields: [] } as never);
  }

  send(message: Uint8Array): boolean {
    this.sent.push(message);
    const { requestUnion } = fromBinary(WatchRequestSchema, message);
    if (requestUnion.case === 'createRequest') {
      const watch = new ScriptedWatch(this, requestUnion.value);
      this.watches.push(watch);
      this.#upstream.watches.push(watch);
      if (this.#upstream.creates) queueMicrotask(() => watch.say(this.#upstream.revision, { created: true }));
    } else if (requestUnion.case === 'progressRequest') this.questions++;
    else if (requestUnion.case === 'cancelRequest') {
      const { watchId } = requestUnion.value;
      for (const watch of this.watches) if (watch.id === watchId) watch.cancelled = true;
    }
    return true;
  }

  halfClose(): void {
    // The hub never does.
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  cancel(): void {
    this.cancelled = true;
    for (const watch of this.watches) watch.cancelled = true;
  }
}

/** A watch that the hub has asked for. */
export class ScriptedWatch {
  readonly stream: ScriptedStream;
  /** Its number on the stream; zero where the hub leaves it to etcd. */
  readonly id: bigint;
  readonly key: string;
  readonly start: number;
  readonly fragment: boolean;
  /** The hub wants no more of it. */
  cancelled = false;
  /** Whether etcd has said something of it. */
  answered = false;

  constructor(stream: ScriptedStream, { watchId, key, startRevision, fragment }: WatchCreateRequest) {
    this.stream = stream;
    this.id = watchId;
    this.key = Buffer.from(key).toString();
    this.start = Number(startRevision);
    this.fragment = fragment;
  }

  /** etcd's response, about this watch unless it names another. */
  say(revision: number, response: MessageInitShape<typeof WatchResponseSchema>): void {
    if (
      response.created === true &&
      this.stream.watches.some((other) => !other.answered && other.id < this.id)
    )
      throw new Error('etcd answers in order');
    this.answered = true;
    this.stream.say(revision, { watchId: this.id, ...response });
  }

  /** etcd ends its stream. */
  end(status: Status): void {
    this.stream.end(status);
  }
}

export class ScriptedUpstream implements Upstream {
  readonly streams: ScriptedStream[] = [];
  /** The watches on all of them, in the order in which they were asked for. */
  readonly watches: ScriptedWatch[] = [];
  /** The store's revision, as reads tell it. */
  revision = 1;
  /** The first revision that is not compacted, as reads tell it. */
  compacted = 0;
  cluster = 1n;
  member = 1n;
  /** What the next calls of Status fail with, in order. */
  readonly statusFailures: Status[] = [];
  /** etcd's release, as Status tells it. */
  version = '3.7.3';
  /** Whether each watch is created as soon as it is asked for; otherwise the test says so. */
  creates = false;
  /** How often Status was called. */
  statusCalls = 0;

  async unary(request: Uint8Array, call: Call): Promise<Uint8Array> {
    const header = { clusterId: this.cluster, memberId: this.member, revision: BigInt(this.revision) };
    if (call.method.name !== 'Status') {
      const { revision } = fromBinary(RangeRequestSchema, request);
      if (revision > this.revision) throw new RpcError(Code.OUT_OF_RANGE, FUTURE);
      if (revision > 0 && revision < this.compacted) throw new RpcError(Code.OUT_OF_RANGE, COMPACTED);
      return toBinary(RangeResponseSchema, create(RangeResponseSchema, { header }));
    }
    this.statusCalls++;
    const failure = this.statusFailures.shift();
    if (failure !== undefined) throw failure;
    return toBinary(StatusResponseSchema, create(StatusResponseSchema, { header, version: this.version }));
  }

  stream(_: Call, listener: ClientStreamListener): ClientStream {
    const stream = new ScriptedStream(this, listener);
    this.streams.push(stream);
    return stream;
  }
}
