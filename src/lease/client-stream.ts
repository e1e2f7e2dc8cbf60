/**
 * `etcdserverpb.Lease/LeaseKeepAlive` on carriers that many clients share. One object is one stream of a client. As from etcd,
 * answers come in the order of the heartbeats, and the first one that is refused ends the stream.
 */
import { clientIdentityOf, demandsLeader } from '../clients/identity.ts';
import { keepAliveRequest, LeaseReader } from '../etcd/lease-keep-alive.ts';
import type { Call, ServerStream, ServerStreamListener, StreamHandler, Upstream } from '../rpc/contract.ts';
import { forwardStream } from '../rpc/forward.ts';
import { NO_METADATA } from '../rpc/metadata.ts';
import { OK, RpcError } from '../rpc/status.ts';
import type { Carriers } from './carriers.ts';
import { Heartbeat, type HeartbeatOwner, type Refusal } from './heartbeat.ts';
import type { Leases } from './leases.ts';
import type { Share, Sharer } from './share.ts';
import type { ApartReason, LeaseStats } from './stats.ts';

/** A stream that demands a leader. */
export interface LeaderSink {
  /** There is one. */
  onLeader(): void;
  /** Ends the stream. */
  fail(code: number, message: string): void;
}

/** Ends the streams that demand a leader when there is none. */
export interface LeaderDemands {
  /** A stream begins. */
  add(sink: LeaderSink): void;
  /** It is over. */
  remove(sink: LeaderSink): void;
}

/** Heartbeats without an answer on one stream of a client: with so many no more are read until there are half as many. */
const MAX_UNANSWERED = 256;

/** What one takes in memory, in bytes. */
const HEARTBEAT_BYTES = 160;

const reader = new LeaseReader();

/**
 * The handler.
 * @param upstream where streams go that are left to etcd
 */
export function leaseService(leases: Leases, upstream: Upstream, leader: LeaderDemands): StreamHandler {
  const forward = forwardStream(upstream);
  return (client, call) => {
    const identity = clientIdentityOf(call.metadata);
    if (leases.refusedOf(identity)?.hasClient(call.client)) {
      leases.stats.apart.refused++;
      forward(client, call);
      return;
    }
    const carriers = leases.of(identity);
    if (carriers.isStrange) {
      leases.stats.apart.strange++;
      forward(client, call);
      return;
    }
    const stream = new HeartbeatStream(carriers, client, call, forward, leader);
    client.listener = stream;
    stream.begin();
  };
}

/** One client stream. */
class HeartbeatStream implements ServerStreamListener, HeartbeatOwner, LeaderSink, Sharer {
  readonly #carriers: Carriers;
  readonly #share: Share;
  readonly #stats: LeaseStats;
  readonly #client: ServerStream;
  readonly #call: Call;
  readonly #forward: StreamHandler;
  /** Where it demands one. */
  readonly #leader: LeaderDemands | undefined;
  /** Its heartbeats that have no answer yet, in their order. */
  #first: Heartbeat | undefined;
  #last: Heartbeat | undefined;
  #unanswered = 0;
  /** The first one that waits for others of the connection. */
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

  constructor(
    carriers: Carriers,
    client: ServerStream,
    call: Call,
    forward: StreamHandler,
    leader: LeaderDemands,
  ) {
    this.#carriers = carriers;
    this.#share = carriers.shareOf(call.client);
    this.#stats = carriers.stats;
    this.#client = client;
    this.#call = call;
    this.#forward = forward;
    this.#leader = demandsLeader(call.metadata) ? leader : undefined;
  }

  begin(): void {
    this.#stats.clientStreams++;
    this.#carriers.enter();
    this.#leader?.add(this);
  }

  onMessage(message: Uint8Array): void {
    if (this.#over || this.#refused) return;
    if (!reader.readRequest(message)) this.#handOver('malformed', message);
    else if (this.#carriers.isStrange) this.#handOver('strange', message);
    else if (this.#carriers.refused?.hasLease(reader)) this.#handOver('refused', message);
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
    const { isStrange, refused } = this.#carriers;
    if (isStrange) this.#handOver('strange');
    else if (refused?.hasLease(this.#waiting as Heartbeat)) this.#handOver('refused');
    return !this.#over;
  }

  sendNext(): boolean {
    const heartbeat = this.#waiting as Heartbeat;
    this.#waiting = heartbeat.next;
    this.#pass(heartbeat);
    return this.#waiting !== undefined;
  }

  onReply(heartbeat: Heartbeat, reply: Uint8Array): void {
    this.#giveBack(1);
    if (heartbeat === this.#first) {
      this.#give(reply);
      this.#goOn();
    } else heartbeat.reply = Buffer.from(reply);
  }

  onRefused(heartbeat: Heartbeat, refusal: Refusal): void {
    if (refusal.own) this.#carriers.refused?.addClient(this.#call.client);
    this.#share.forget(this);
    if (refusal.forAll) this.#share.refuseAll(refusal);
    this.#giveBack(1);
    this.#refuse(heartbeat, refusal);
  }

  refuse(refusal: Refusal): void {
    this.#refuse(this.#waiting as Heartbeat, refusal);
  }

  onStrange(): void {
    this.#handOver('strange');
  }

  #send(message: Uint8Array): void {
    const heartbeat = new Heartbeat(reader, this);
    if (this.#last === undefined) this.#first = heartbeat;
    else this.#last.next = heartbeat;
    this.#last = heartbeat;
    this.#unanswered++;
    this.#stats.heartbeats++;
    this.#client.hold(HEARTBEAT_BYTES);
    if (this.#waiting !== undefined || !this.#share.take(this)) this.#waiting ??= heartbeat;
    else this.#pass(heartbeat, message);
    if (this.#unanswered === MAX_UNANSWERED) this.#stats.limits.unanswered++;
    if (this.#unanswered >= MAX_UNANSWERED) this.#flow();
  }

  #pass(heartbeat: Heartbeat, message?: Uint8Array): void {
    this.#passed++;
    this.#carriers.send(heartbeat, message);
  }

  /** So many are on carriers no longer. */
  #giveBack(count: number): void {
    this.#passed -= count;
    this.#share.giveBack(count);
  }

  #refuse(heartbeat: Heartbeat, refusal: Refusal): void {
    heartbeat.refusal = refusal;
    this.#refused = true;
    // etcd would not have read those behind it.
    for (let each = heartbeat.next; each !== undefined; each = each.next) each.owner = undefined;
    this.#waiting = undefined;
    this.#goOn();
  }

  /** The answer to the first heartbeat. */
  #give(reply: Uint8Array): void {
    this.#first = this.#first?.next;
    if (this.#first === undefined) this.#last = undefined;
    this.#unanswered--;
    this.#client.hold(-HEARTBEAT_BYTES);
    if (!this.#client.send(reply)) this.#blocked = true;
  }

  /** What was answered before it was its turn. */
  #goOn(): void {
    for (let first = this.#first; first !== undefined; first = this.#first) {
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
    const isFull = this.#blocked || this.#unanswered >= limit;
    if (isFull === this.#paused || this.#over) return;
    this.#paused = isFull;
    if (isFull) this.#client.pause();
    else this.#client.resume();
  }

  #endIfDone(): void {
    if (this.#halfClosed && this.#first === undefined)
      this.#end({ status: OK, trailers: NO_METADATA, own: false, forAll: false });
  }

  #end({ status, trailers }: Refusal): void {
    if (this.#over) return;
    this.#leave();
    if (trailers !== NO_METADATA) this.#call.responseTrailers = trailers;
    this.#client.end(status);
  }

  /** Leaves the stream to etcd, with all that has no answer: which heartbeats it acts on twice makes no difference. */
  #handOver(reason: ApartReason, message?: Uint8Array): void {
    if (this.#over) return;
    const first = this.#first;
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
    for (let each = this.#first; each !== undefined; each = each.next) each.owner = undefined;
    this.#first = undefined;
    this.#waiting = undefined;
    this.#share.forget(this);
    this.#giveBack(this.#passed);
    this.#client.hold(-HEARTBEAT_BYTES * this.#unanswered);
    this.#stats.clientStreams--;
    this.#leader?.remove(this);
    this.#carriers.leave();
  }
}
