/** A client's watch stream without a network, whose reader can be stopped at will. */

import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { WatchRequestSchema, type WatchResponse, WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import { Watch } from '../../src/etcd/methods.ts';
import type { ServerStream, ServerStreamListener, StreamHandler } from '../../src/rpc/contract.ts';
import { type Metadata, NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import type { Status } from '../../src/rpc/status.ts';
import type { Create } from '../support/watch-client.ts';

export class ScriptedClient implements ServerStream {
  declare listener: ServerStreamListener;
  /** Every response so far. */
  readonly responses: WatchResponse[] = [];
  ending: Status | undefined;
  /** Whether the service has stopped reading. */
  paused = false;
  /** Bytes that the service said it holds. */
  held = 0;
  #room = Number.POSITIVE_INFINITY;

  constructor(service: StreamHandler, metadata: Metadata = NO_METADATA) {
    service(this, new OwnCall(Watch.Watch, metadata, Number.POSITIVE_INFINITY));
  }

  watch(value: Create): void {
    this.#say({ requestUnion: { case: 'createRequest', value } });
  }

  cancel(watchId: bigint): void {
    this.#say({ requestUnion: { case: 'cancelRequest', value: { watchId } } });
  }

  progress(): void {
    this.#say({ requestUnion: { case: 'progressRequest', value: {} } });
  }

  /** The revisions of all answers to requests for progress so far. */
  get answers(): number[] {
    return this.responses
      .filter(({ watchId, canceled }) => watchId === -1n && !canceled)
      .map(({ header }) => Number(header?.revision));
  }

  /** The keys of all events so far. */
  get keys(): string[] {
    return this.responses.flatMap(({ events }) =>
      events.map(({ kv }) => Buffer.from(kv?.key ?? []).toString('latin1')),
    );
  }

  /** The revisions of all events so far. */
  get revisions(): number[] {
    return this.responses.flatMap(({ events }) => events.map(({ kv }) => Number(kv?.modRevision)));
  }

  /** Takes no more: what is sent from now on says that there is no room. */
  stop(): void {
    this.#room = 0;
  }

  /** Takes everything again, or so many messages. */
  go(messages = Number.POSITIVE_INFINITY): void {
    this.#room = messages;
    this.listener.onDrain();
  }

  leave(): void {
    this.listener.onCancel();
  }

  sendHeaders(): void {
    // Only messages matter.
  }

  send(message: Uint8Array): boolean {
    this.responses.push(fromBinary(WatchResponseSchema, message));
    return --this.#room > 0;
  }

  sendJoined(head: Uint8Array, tail: Uint8Array): boolean {
    return this.send(Buffer.concat([head, tail]));
  }

  end(status: Status): void {
    this.ending = status;
  }

  hold(bytes: number): void {
    this.held += bytes;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  #say(request: MessageInitShape<typeof WatchRequestSchema>): void {
    this.listener.onMessage(toBinary(WatchRequestSchema, create(WatchRequestSchema, request)));
  }
}
