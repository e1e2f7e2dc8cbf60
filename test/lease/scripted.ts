/** An etcd that answers heartbeats when told to, and whoever hears of it. */
import assert from 'node:assert/strict';
import { create, toBinary } from '@bufbuild/protobuf';
import { LeaseKeepAliveResponseSchema } from '#gen/etcdserverpb/lease_pb.js';
import { clientIdentityOf, TOKENLESS } from '../../src/clients/identity.ts';
import { LeaseReader } from '../../src/etcd/lease-keep-alive.ts';
import type { SharingStream } from '../../src/lease/credentials.ts';
import { Heartbeat, type HeartbeatOwner, type HeartbeatRefusal } from '../../src/lease/heartbeat.ts';
import { Leases } from '../../src/lease/leases.ts';
import type { Call, ClientStream, ClientStreamListener, Upstream } from '../../src/rpc/contract.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';

/** A reply of etcd's, with a header that has everything. */
export const replyTo = (ID: bigint, TTL = 60n, revision = 7n) => {
  const header = { clusterId: 2n ** 63n + 1n, memberId: 2n ** 64n - 1n, revision, raftTerm: 3n };
  return toBinary(LeaseKeepAliveResponseSchema, create(LeaseKeepAliveResponseSchema, { header, ID, TTL }));
};

/** A stream to it. */
export class ScriptedStream implements ClientStream {
  readonly listener: ClientStreamListener;
  sent: Buffer[] = [];
  answered = 0;
  halfClosed = false;
  cancelled = false;

  constructor(listener: ClientStreamListener) {
    this.listener = listener;
    this.begin();
  }

  /** It begins on a connection: the first one, or another one because that was lost. */
  begin(): void {
    this.sent = (this.listener.keeper?.unanswered() ?? []).map((each) => Buffer.from(each));
    this.answered = 0;
  }

  send(message: Uint8Array): boolean {
    this.sent.push(Buffer.from(message));
    return true;
  }

  /** Answers the next heartbeats. */
  answer(count: number): void {
    for (let i = 0; i < count; i++) {
      const reader = new LeaseReader();
      assert.ok(reader.readRequest(this.sent[this.answered++] as Buffer));
      this.listener.onMessage(replyTo((BigInt(reader.high) << 32n) | BigInt(reader.low >>> 0)));
    }
  }

  halfClose(): void {
    this.halfClosed = true;
  }

  cancel(): void {
    this.cancelled = true;
  }

  pause(): void {}
  resume(): void {}
}

export class ScriptedEtcd implements Upstream {
  readonly streams: ScriptedStream[] = [];

  stream(_call: Call, listener: ClientStreamListener): ClientStream {
    const stream = new ScriptedStream(listener);
    this.streams.push(stream);
    return stream;
  }

  unary(): never {
    throw new Error('nothing else is asked');
  }
}

/** Counts what a client hears. */
export class Hearer implements HeartbeatOwner {
  replies = 0;
  readonly refusals: HeartbeatRefusal[] = [];
  strange = 0;
  onReply(): void {
    this.replies++;
  }
  onRefused(_: Heartbeat, refusal: HeartbeatRefusal): void {
    this.refusals.push(refusal);
  }
  onStrange(): void {
    this.strange++;
  }
}

/** A client's stream that never moves. */
export const MEMBER: SharingStream = { identity: TOKENLESS, move: () => {} };

/** Carriers of clients without a token. */
export function scene() {
  const etcd = new ScriptedEtcd();
  const all = new Leases(etcd);
  const carriers = all.of(clientIdentityOf(NO_METADATA));
  carriers.enter(MEMBER);
  const hearer = new Hearer();
  const send = (low: number, owner: HeartbeatOwner = hearer) => {
    const heartbeat = new Heartbeat({ low, high: 0 }, owner);
    carriers.send(heartbeat);
    return heartbeat;
  };
  return { etcd, all, carriers, hearer, send };
}
