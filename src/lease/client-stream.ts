/**
 * `etcdserverpb.Lease/LeaseKeepAlive` on carriers that many clients share. One object is one stream of a client. As from etcd,
 * answers come in the order of the heartbeats, and the first one that is refused ends the stream.
 */
import { demandsLeader, type Identity } from '../clients/identity.ts';
import type { LeaderDemands, LeaderSink } from '../clients/leader-demands.ts';
import { keepAliveRequest, LeaseReader } from '../etcd/lease-keep-alive.ts';
import type { Call, ServerStream, ServerStreamListener, StreamHandler } from '../rpc/contract.ts';
import { NO_METADATA } from '../rpc/metadata.ts';
import { OK, RpcError } from '../rpc/status.ts';
import type { Carriers } from './carriers.ts';
import { ClientLine, disown, nextOpen } from './client-line.ts';
import type { SharingStream } from './credentials.ts';
import { Heartbeat, type HeartbeatOwner, type HeartbeatRefusal } from './heartbeat.ts';
import type { Leases } from './leases.ts';
import type { Share, WaitingStream } from './share.ts';
import type { ApartReason, LeaseStats } from './stats.ts';

/** Heartbeats without an answer on one stream of a client: with so many no more are read until there are half as many. */
const MAX_UNANSWERED = 256;

/** What one takes in memory, in bytes. */
const HEARTBEAT_BYTES = 160;

const reader = new LeaseReader();

/** What a stream needs beside its carriers. */
export interface StreamParts {
  /** Leaves a stream to etcd. */
  readonly forward: StreamHandler;
  readonly leader: LeaderDemands;
}

/** One client stream. */
export class HeartbeatStream
  implements ServerStreamListener, HeartbeatOwner, LeaderSink, SharingStream, WaitingStream
{
  readonly identity: Identity;
  readonly #leases: Leases;
  readonly #stats: LeaseStats;
  readonly #client: ServerStream;
  readonly #call: Call;
  readonly #forward: StreamHandler;
  /** Where it demands one. */
  readonly #leader: LeaderDemands | undefined;
  /** Until etcd has said whether it takes the client's token, there are none. */
  #carriers: Carriers | undefined;
  #share: Share | undefined;
  readonly #line = new ClientLine();
  /** The first one that is on no carrier: it waits for others of the connection, or for carriers. */
  #waiting: Heartbeat | undefined;
  /** How many are on carriers. */
  #passed = 0;
  /** The client does not read. */
  #blocked = false;
  #paused = false;
  #halfClosed = false;
  /** A heartbeat was refused: once those before it are answered, the stream ends. */
  #refused = false;
  #over = false;

  constructor(leases: Leases, identity: Identity, client: ServerStream, call: Call, parts: StreamParts) {
    this.identity = identity;
    this.#leases = leases;
    this.#stats = leases.stats;
    this.#client = client;
    this.#call = call;
    this.#forward = parts.forward;
    this.#leader = demandsLeader(call.metadata) ? parts.leader : undefined;
  }

  begin(): void {
    this.#stats.clientStreams++;
    this.#leader?.add(this);
    this.#place();
  }

  move(): void {
    if (this.#over) return;
    const open = this.#line.renew(this);
    this.#leaveCarriers();
    this.#waiting = open;
    this.#place();
  }

  onMessage(message: Uint8Array): void {
    if (this.#over || this.#refused) return;
    if (!reader.readRequest(message)) this.#handOver('malformed', message);
    else if (this.#carriers?.isStrange) this.#handOver('strange', message);
    else if (this.#carriers?.refused?.hasLease(reader)) this.#handOver('refused', message);
    else this.#send(message);
  }

  onHalfClose(): void {
    this.#halfClosed = true;
    this.#endIfDone();
  }

  onDrain(): void {
    this.#blocked = false;
    this.#flow();
  }

  onCancel(): void {
    this.#leave();
  }

  onLeader(): void {
    // Heartbeats did not wait for it: what etcd answers to them says as much.
  }

  fail(code: number, message: string): void {
    this.#end({ status: new RpcError(code, message), trailers: NO_METADATA, own: false, forAll: false });
  }

  maySend(): boolean {
    const { isStrange, refused } = this.#carriers as Carriers;
    if (isStrange) this.#handOver('strange');
    else if (refused?.hasLease(this.#waiting as Heartbeat)) this.#handOver('refused');
    return !this.#over;
  }

  sendNext(): boolean {
    const heartbeat = this.#waiting as Heartbeat;
    this.#waiting = nextOpen(heartbeat.next);
    this.#pass(heartbeat);
    return this.#waiting !== undefined;
  }

  onReply(heartbeat: Heartbeat, reply: Uint8Array): void {
    this.#giveBack(1);
    if (heartbeat === this.#line.first) {
      this.#give(reply);
      this.#goOn();
    } else heartbeat.reply = Buffer.from(reply);
  }

  onRefused(heartbeat: Heartbeat, refusal: HeartbeatRefusal): void {
    if (refusal.own) this.#carriers?.refused?.addClient(this.#call.client);
    this.#share?.forget(this);
    if (refusal.forAll) this.#share?.refuseAll(refusal);
    this.#giveBack(1);
    this.#refuse(heartbeat, refusal);
  }

  refuse(refusal: HeartbeatRefusal): void {
    this.#refuse(this.#waiting as Heartbeat, refusal);
  }

  onStrange(): void {
    this.#handOver('strange');
  }

  #place(): void {
    this.#leases.place(this.identity, (carriers) => {
      if (!this.#over) this.#enter(carriers());
    });
  }

  #enter(carriers: Carriers): void {
    this.#carriers = carriers;
    this.#share = carriers.shareOf(this.#call.client);
    carriers.enter(this);
    if (carriers.isStrange) this.#handOver('strange');
    while (this.#waiting !== undefined && this.maySend() && this.#share.take(this)) this.sendNext();
  }

  #send(message: Uint8Array): void {
    const heartbeat = new Heartbeat(reader, this);
    this.#line.push(heartbeat);
    this.#stats.heartbeats++;
    this.#client.hold(HEARTBEAT_BYTES);
    if (this.#waiting !== undefined || this.#share?.take(this) !== true) this.#waiting ??= heartbeat;
    else this.#pass(heartbeat, message);
    const { size } = this.#line;
    if (size === MAX_UNANSWERED) this.#stats.limits.unanswered++;
    if (size >= MAX_UNANSWERED) this.#flow();
  }

  #pass(heartbeat: Heartbeat, message?: Uint8Array): void {
    this.#passed++;
    this.#carriers?.send(heartbeat, message);
  }

  /** So many are on carriers no longer. */
  #giveBack(count: number): void {
    this.#passed -= count;
    this.#share?.giveBack(count);
  }

  #refuse(heartbeat: Heartbeat, refusal: HeartbeatRefusal): void {
    heartbeat.refusal = refusal;
    this.#refused = true;
    // etcd would not have read those behind it.
    disown(heartbeat.next);
    this.#waiting = undefined;
    this.#goOn();
  }

  /** The answer to the first heartbeat. */
  #give(reply: Uint8Array): void {
    this.#line.shift();
    this.#client.hold(-HEARTBEAT_BYTES);
    if (!this.#client.send(reply)) this.#blocked = true;
  }

  /** What was answered before it was its turn. */
  #goOn(): void {
    for (let first = this.#line.first; first !== undefined; first = this.#line.first) {
      if (first.refusal !== undefined) {
        this.#end(first.refusal);
        return;
      }
      if (first.reply === undefined) break;
      this.#give(first.reply);
    }
    if (this.#blocked || this.#paused) this.#flow();
    this.#endIfDone();
  }

  /** Reads the client, or not. */
  #flow(): void {
    const limit = this.#paused ? MAX_UNANSWERED / 2 : MAX_UNANSWERED;
    const isFull = this.#blocked || this.#line.size >= limit;
    if (isFull === this.#paused || this.#over) return;
    this.#paused = isFull;
    if (isFull) this.#client.pause();
    else this.#client.resume();
  }

  #endIfDone(): void {
    if (this.#halfClosed && this.#line.size === 0)
      this.#end({ status: OK, trailers: NO_METADATA, own: false, forAll: false });
  }

  #end({ status, trailers }: HeartbeatRefusal): void {
    if (this.#over) return;
    this.#leave();
    if (trailers !== NO_METADATA) this.#call.responseTrailers = trailers;
    this.#client.end(status);
  }

  /** Leaves the stream to etcd, with all that has no answer: which heartbeats it acts on twice makes no difference. */
  #handOver(reason: ApartReason, message?: Uint8Array): void {
    if (this.#over) return;
    const { first } = this.#line;
    this.#leave();
    this.#stats.apart[reason]++;
    this.#forward(this.#client, this.#call);
    for (let each = first; each !== undefined; each = each.next)
      this.#client.listener.onMessage(keepAliveRequest(each));
    if (message !== undefined) this.#client.listener.onMessage(message);
    if (this.#halfClosed) this.#client.listener.onHalfClose();
    if (this.#paused) this.#client.resume();
  }

  #leave(): void {
    if (this.#over) return;
    this.#over = true;
    const { size } = this.#line;
    this.#line.disown();
    this.#waiting = undefined;
    this.#leaveCarriers();
    this.#client.hold(-HEARTBEAT_BYTES * size);
    this.#stats.clientStreams--;
    this.#leader?.remove(this);
  }

  /** What it has there was disowned before. */
  #leaveCarriers(): void {
    const carriers = this.#carriers;
    const abandoned = this.#passed;
    this.#share?.forget(this);
    this.#giveBack(abandoned);
    this.#carriers = undefined;
    this.#share = undefined;
    carriers?.abandon(abandoned);
    carriers?.leave(this);
  }
}
