/** A watch, and what is told of it: changes at the pace of their reader, what the reader has seen, and how it ends. */
import { create, toBinary } from '@bufbuild/protobuf';
import {
  Watch,
  WatchRequestSchema,
  type WatchResponse,
  WatchResponseSchema,
} from '#gen/etcdserverpb/watch_pb.js';
import { CODE_NAMES, Code, RpcError } from '../../rpc/status.ts';
import type { WebCall } from '../call.ts';
import { inPieces } from '../json-pieces.ts';
import { WebStream } from '../stream.ts';
import { type Apart, takeApart } from './elements.ts';
import { changesText, compactedText, errorText, HEARTBEAT, seenText } from './events.ts';
import type { Keys } from './keys.ts';
import { type KeyRequest, readReply, readText } from './request.ts';

/** How etcd says why it has ended a watch. */
const REASON = /^rpc error: code = (\w+) desc = (.*)$/s;

type Response = Apart<typeof WatchResponseSchema>;

/** What is wanted of a watch. */
export interface WantedChanges extends Keys {
  /** The first revision; 0: whatever comes next. */
  readonly start: bigint;
  /** A client that comes back without an id gets a snapshot. */
  readonly snapshot: boolean;
}

export class Changes {
  /** The revision before the first one that is told. */
  readonly seen: bigint;
  readonly #call: WebCall;
  readonly #stream: WebStream;
  readonly #wanted: WantedChanges;
  readonly #heartbeatMs: number;

  private constructor(
    call: WebCall,
    stream: WebStream,
    wanted: WantedChanges,
    seen: bigint,
    heartbeatMs: number,
  ) {
    this.#call = call;
    this.#stream = stream;
    this.#wanted = wanted;
    this.seen = seen;
    this.#heartbeatMs = heartbeatMs;
  }

  /** Begins to watch. Settles when etcd does. @throws RpcError (rejects) when it does not */
  static async begin(request: KeyRequest, wanted: WantedChanges): Promise<Changes> {
    const { options, maxUnreadBytes, heartbeatMs } = request.serving;
    const { key, rangeEnd, start } = wanted;
    const call = request.stream(Watch.method.watch);
    const stream = new WebStream(call, maxUnreadBytes);
    try {
      stream.open(options.services);
      const value = { key, rangeEnd, startRevision: start, progressNotify: true };
      const message = create(WatchRequestSchema, { requestUnion: { case: 'createRequest', value } });
      await stream.receive(toBinary(WatchRequestSchema, message));
      const { rest } = await nextOf(stream, call);
      if (rest.canceled) throw endOf(rest);
      const seen = start === 0n ? (rest.header?.revision ?? 0n) : start - 1n;
      return new Changes(call, stream, wanted, seen, heartbeatMs);
    } catch (thrown) {
      const error = call.fail(thrown);
      stream.cancel(error);
      throw error;
    }
  }

  /**
   * Tells all of it, as events.
   * @param first what is told before, and taken out of its place then: a snapshot may be large, and a watch goes on for days
   */
  async *told(first: { text?: Iterable<string> | undefined }): AsyncGenerator<Uint8Array> {
    try {
      yield* inPieces(taken(first));
      for (;;) {
        if (!(await this.#stream.arrives(this.#heartbeatMs))) yield Buffer.from(HEARTBEAT);
        else {
          const { rest, elements } = await nextOf(this.#stream, this.#call);
          if (rest.canceled && rest.compactRevision === 0n) throw endOf(rest);
          yield* inPieces(readText(this.#call, WatchResponseSchema, this.#textOf({ rest, elements })));
          if (rest.canceled) break;
        }
      }
      this.#stream.cancel(RpcError.cancelled());
      this.#call.finish(Code.OK);
    } catch (thrown) {
      const error = this.#call.fail(thrown);
      this.#stream.cancel(error);
      yield* inPieces(errorText(error));
    }
  }

  #textOf({ rest, elements }: Response): Iterable<string> {
    if (rest.canceled) return compactedText(rest.compactRevision, this.#wanted.snapshot);
    if (elements.length > 0) return changesText(elements, !rest.fragment);
    const revision = rest.header?.revision ?? 0n;
    return revision > 0n ? [seenText(revision)] : [];
  }
}

function* taken(first: { text?: Iterable<string> | undefined }): Generator<string> {
  yield* first.text ?? [];
  first.text = undefined;
}

/** The next response. @throws RpcError (rejects) when there is none */
async function nextOf(stream: WebStream, call: WebCall): Promise<Response> {
  const message = await stream.next();
  if (message === undefined)
    throw new RpcError(Code.UNAVAILABLE, 'etcd-connect-proxy: etcd has ended the watch');
  const list = WatchResponseSchema.field.events;
  return await readReply(call, WatchResponseSchema, () => takeApart(WatchResponseSchema, list, message));
}

/** The status that the reason for a watch's end is. */
function endOf({ cancelReason }: WatchResponse): RpcError {
  const [, name = '', text = cancelReason] = REASON.exec(cancelReason) ?? [];
  const code = (CODE_NAMES as readonly string[]).indexOf(name);
  return new RpcError(code > 0 ? code : Code.UNKNOWN, text || 'etcd-connect-proxy: etcd has ended the watch');
}
