/**
 * An upstream that says to the hub what a test makes it say, for what no real etcd does on demand: a Status that fails
 * once, one stream of several that ends.
 */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { ResponseHeaderSchema } from '#gen/etcdserverpb/header_pb.js';
import { RangeRequestSchema, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { StatusResponseSchema } from '#gen/etcdserverpb/maintenance_pb.js';
import { WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import type { Call, ClientStream, ClientStreamListener, Upstream } from '../../src/rpc/contract.ts';
import { Code, RpcError, type Status } from '../../src/rpc/status.ts';

/** etcd's words. */
const FUTURE = 'etcdserver: mvcc: required revision is a future revision';
const COMPACTED = 'etcdserver: mvcc: required revision has been compacted';

/** A watch stream to etcd as the hub opened it. */
export class ScriptedStream implements ClientStream {
  readonly sent: Uint8Array[] = [];
  cancelled = false;
  paused = false;
  /** Whether etcd has said something. */
  answered = false;
  readonly #listener: ClientStreamListener;
  readonly #upstream: ScriptedUpstream;

  constructor(upstream: ScriptedUpstream, listener: ClientStreamListener) {
    this.#upstream = upstream;
    this.#listener = listener;
  }

  /** etcd's response, with a header of this revision. */
  say(revision: number, response: MessageInitShape<typeof WatchResponseSchema>): void {
    const header = { clusterId: this.#upstream.cluster, memberId: 1n, revision: BigInt(revision) };
    this.answered = true;
    this.#listener.onMessage(
      toBinary(
        WatchResponseSchema,
        create(WatchResponseSchema, { ...response, header: create(ResponseHeaderSchema, header) }),
      ),
    );
  }

  /** etcd ends it. */
  end(status: Status): void {
    this.answered = true;
    this.#listener.onEnd(status, { fields: [] } as never);
  }

  send(message: Uint8Array): boolean {
    this.sent.push(message);
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
  }
}

export class ScriptedUpstream implements Upstream {
  readonly streams: ScriptedStream[] = [];
  /** The store's revision, as reads tell it. */
  revision = 1;
  /** The first revision that is not compacted, as reads tell it. */
  compacted = 0;
  cluster = 1n;
  /** What the next calls of Status fail with, in order. */
  readonly statusFailures: Status[] = [];
  /** How often Status was called. */
  statusCalls = 0;

  async unary(request: Uint8Array, call: Call): Promise<Uint8Array> {
    const header = { clusterId: this.cluster, memberId: 1n, revision: BigInt(this.revision) };
    if (call.method.name !== 'Status') {
      const { revision } = fromBinary(RangeRequestSchema, request);
      if (revision > this.revision) throw new RpcError(Code.OUT_OF_RANGE, FUTURE);
      if (revision > 0 && revision < this.compacted) throw new RpcError(Code.OUT_OF_RANGE, COMPACTED);
      return toBinary(RangeResponseSchema, create(RangeResponseSchema, { header }));
    }
    this.statusCalls++;
    const failure = this.statusFailures.shift();
    if (failure !== undefined) throw failure;
    return toBinary(StatusResponseSchema, create(StatusResponseSchema, { header, version: '3.7.3' }));
  }

  stream(_: Call, listener: ClientStreamListener): ClientStream {
    const stream = new ScriptedStream(this, listener);
    this.streams.push(stream);
    return stream;
  }
}
