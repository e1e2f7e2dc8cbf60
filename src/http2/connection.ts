/**
 * One HTTP/2 connection of either role over a socket: wires the parts together, and owns the life of the
 * connection from the preface to GOAWAY. What its owner calls is {@link ConnectionHandle}; the members marked internal are
 * for the parts, each of which names what it needs.
 *
 *   socket -> FrameReader -> FrameHandler -> HeaderInput -> Stream -> StreamListener
 *   Stream -> (SendScheduler) -> Output -> socket, flushed once a turn
 */
import type { Socket } from 'node:net';
import { atEndOfTurn } from './end-of-turn.ts';
import { ErrorCode, Http2Error, lostBy } from './errors.ts';
import { MAX_31_BITS } from './frame.ts';
import { FrameHandler, type HandledConnection } from './frame-handler.ts';
import { FrameReader } from './frame-reader.ts';
import { GoingAway } from './going-away.ts';
import { Guard } from './guard.ts';
import type { ConnectionHandle, ConnectionListener, StreamListener } from './listener.ts';
import { Output } from './output.ts';
import { PingAnswer } from './ping-answer.ts';
import { type PingDone, Pings } from './pings.ts';
import { ReceiveWindow } from './receive-window.ts';
import { Reports } from './reports.ts';
import { type RequestAccounts, RequestIntake } from './request-intake.ts';
import { RequestLine } from './request-line.ts';
import { Resuming } from './resuming.ts';
import { Room } from './room.ts';
import { SendScheduler } from './send-scheduler.ts';
import { completeSettings, type Http2Settings, type LimitName, type Role } from './settings.ts';
import { SettingsExchange } from './settings-exchange.ts';
import { SocketLink } from './socket-link.ts';
import { Stream } from './stream.ts';
import { StreamSlots } from './stream-slots.ts';
import { StreamTable } from './stream-table.ts';
import { Timeouts } from './timeouts.ts';

/** Data that may be in the socket beside what the peer's own frames made us send. */
const PUMPED = 2 << 20;

const DEFAULTS: Partial<Http2Settings> = {};
const NOTHING = Buffer.alloc(0);

/** A connection. It starts by itself; its listener is first called after the constructor has returned. */
export class Http2Connection implements ConnectionHandle, HandledConnection {
  closed = false;
  /** Whether large replies should come now. */
  readonly room = new Room(this);
  /** @internal */ readonly isServer: boolean;
  /** @internal */ readonly listener: ConnectionListener;
  /** @internal */ readonly settings: Http2Settings;
  /** @internal */ readonly output: Output;
  /** @internal */ readonly scheduler = new SendScheduler();
  /** @internal */ readonly receiver: ReceiveWindow;
  /** @internal */ readonly intake: RequestIntake;
  /** @internal */ readonly line: RequestLine;
  /** @internal */ readonly table = new StreamTable();
  /** @internal */ readonly pings = new Pings();
  /** @internal */ readonly pingAnswer = new PingAnswer(this);
  /** @internal */ readonly exchange: SettingsExchange;
  /** @internal */ readonly reports: Reports;
  /** @internal */ readonly guard: Guard;
  /** @internal */ readonly timeouts: Timeouts;
  /** @internal */ readonly away: GoingAway;
  /** @internal */ readonly link: SocketLink;
  /** @internal The time of the last input, as of `performance.now()`. */
  now: number = performance.now();
  /** @internal */ readonly handler: FrameHandler;

  private readonly reader: FrameReader;
  private readonly slots = new StreamSlots(this);
  /** Inside `onReceived` or `onEndOfTurn`, which flush when they are done. */
  private inTurn = false;
  private waking = false;
  private readonly resuming = new Resuming(this);

  /**
   * @param socket connected, or still connecting; a TLS socket must have negotiated `h2`
   * @param head octets that were already read from the socket
   * @param accounts where a server counts what it holds for requests
   * @throws RangeError for settings out of range
   */
  constructor(
    socket: Socket,
    role: Role,
    listener: ConnectionListener,
    settings: Partial<Http2Settings> = DEFAULTS,
    head: Buffer = NOTHING,
    accounts?: RequestAccounts,
  ) {
    this.isServer = role === 'server';
    this.listener = listener;
    this.settings = completeSettings(role, settings);
    this.reports = new Reports(this, listener);
    this.receiver = new ReceiveWindow(this.settings.connectionWindowSize, this.settings.maxHeldBytes);
    this.output = new Output(socket, this);
    this.line = new RequestLine(this.output);
    this.intake = new RequestIntake(this, accounts);
    this.timeouts = new Timeouts(this);
    this.exchange = new SettingsExchange(this);
    this.guard = new Guard(this);
    this.away = new GoingAway(this, this.timeouts);
    this.handler = new FrameHandler(this);
    this.reader = new FrameReader(this.handler, this.settings.maxFrameSize, this.isServer);
    this.exchange.sendPreface();
    this.link = new SocketLink(socket, this, head);
  }

  get openStreams(): number {
    return this.table.awaited;
  }

  get draining(): boolean {
    return this.away.draining;
  }

  get canOpenStream(): boolean {
    return this.slots.available;
  }

  request(block: Uint8Array, listener: StreamListener, endStream: boolean): Stream {
    if (!this.canOpenStream) throw new Http2Error(ErrorCode.REFUSED_STREAM, 'no stream can be opened');
    const { peer, receiveWindow } = this.exchange;
    const { table } = this;
    const stream = new Stream(this, table.nextId, [], peer.initialWindowSize, receiveWindow);
    table.nextId += 2;
    table.add(stream);
    stream.listener = listener;
    this.line.begin(stream, block, endStream);
    this.wake();
    this.slots.onTaken();
    // RFC 9113 section 5.1.1: identifiers are not used again, so this connection has come to its end.
    if (table.nextId > MAX_31_BITS) this.spent();
    return stream;
  }

  private spent(): void {
    this.drain();
    this.reports.tell(() => this.listener.onSpent?.(this));
  }

  ping(done: PingDone): void {
    if (this.closed) {
      done(new Http2Error(ErrorCode.CANCEL, 'the connection is closed'), 0);
      return;
    }
    this.pings.send(this.output, (error, rttMs) => this.reports.tell(() => done(error, rttMs)));
    this.wake();
  }

  drain(): void {
    if (this.closed) return;
    this.away.start();
    this.wake();
  }

  destroy(code: number = ErrorCode.NO_ERROR, debug = ''): void {
    this.shut(code === ErrorCode.NO_ERROR ? undefined : new Http2Error(code, debug), code, debug);
  }

  /** @internal Frames were appended: they are flushed at the end of the turn. */
  wake(): void {
    if (this.inTurn || this.waking) return;
    this.waking = true;
    atEndOfTurn(this);
  }

  /** @internal */
  onEndOfTurn(): void {
    this.waking = false;
    if (this.closed) return;
    this.inTurn = true;
    try {
      if (this.guard.gate.ready) this.guard.gate.pump();
      this.resuming.deliver();
    } finally {
      // Otherwise nothing would be sent on this connection until its peer says something.
      this.flush();
    }
  }

  /** @internal A stream wants what was kept for it at the end of the turn. */
  onResumed(stream: Stream): void {
    this.resuming.add(stream);
    this.wake();
  }

  /** @internal SocketOwner: the connection may begin. What was read before comes first: often no time is needed then. */
  onStarted(head: Buffer): void {
    if (head.length > 0) this.onReceived(head);
    else this.wake();
    if (!this.closed) this.timeouts.start(this.now);
  }

  /** @internal SocketOwner: input. No byte of the peer makes this throw. */
  onReceived(chunk: Buffer): void {
    this.now = performance.now();
    this.inTurn = true;
    try {
      this.reader.feed(chunk);
    } catch (error) {
      this.broken(error);
    }
    if (this.closed) return;
    this.timeouts.onInput(this.reader.incomplete, this.handler.openBlock, this.handler.frames, this.now);
    this.flush();
  }

  /** @internal SocketOwner: the socket has ended. */
  onGone(failure: Error | undefined): void {
    const isLost = failure !== undefined || this.openStreams > 0;
    this.shut(this.away.reason ?? (isLost ? lostBy(failure) : undefined), undefined, '');
  }

  /** @internal OutputOwner: the socket has written. */
  onOutputWritten(): void {
    if (this.closed) return;
    this.timeouts.onOutputMoved(this.output.busy);
    if (this.scheduler.waiting || this.line.waiting) this.wake();
  }

  /** @internal The listener of a closed stream was told. */
  onLeft(): void {
    if (this.closed) return;
    this.slots.onFreed();
    if (this.away.draining) this.wake();
  }

  /** @internal The peer's SETTINGS were applied. */
  onSettingsChanged(first: boolean): void {
    this.slots.onChanged();
    if (first) {
      this.timeouts.onPreface();
      this.reports.tell(() => this.listener.onReady(this));
    }
    this.onLeft();
  }

  /** @internal A time has passed that a setting sets. */
  onTimedOut(limit: LimitName, code: number): void {
    this.reports.reached(limit);
    this.shut(new Http2Error(code, `${limit} passed`), code, limit);
  }

  /** Sends what can be sent; ends the turn. */
  private flush(): void {
    const { output, scheduler } = this;
    this.line.pump();
    const more = scheduler.pump(output);
    if (this.closed) return;
    if (output.pending > 0 || this.away.draining) this.pingAnswer.send();
    output.flush();
    this.inTurn = false;
    if (this.away.finished) this.shut(this.away.reason, undefined, '');
    else if (output.unread > this.settings.maxUnreadBytes + PUMPED) this.overrun('maxUnreadBytes');
    else if (scheduler.queued > this.settings.maxQueuedBytes) this.overrun('maxQueuedBytes');
    else {
      if (output.unread > 0) this.timeouts.onOutputWaits();
      this.room.onEndOfTurn();
      const sendable = scheduler.waiting && scheduler.window > 0 && !output.full;
      if (more || this.resuming.waiting || sendable || this.guard.gate.ready) this.wake();
    }
  }

  overrun(limit: LimitName): void {
    const error = this.reports.over(limit, 'the peer does not read');
    this.shut(error, error.code, error.detail);
  }

  private broken(error: unknown): void {
    const ours = !(error instanceof Http2Error);
    if (ours) this.reports.report(error);
    const reason = ours ? new Http2Error(ErrorCode.INTERNAL_ERROR, 'internal', { cause: error }) : error;
    this.shut(reason, reason.code, ours ? '' : reason.detail);
  }

  /** The end: all streams are closed, then the listener is told. Without a `goaway` code none is sent. */
  private shut(error: Http2Error | undefined, goaway: number | undefined, debug: string): void {
    if (this.closed) return;
    this.closed = true;
    this.timeouts.stop();
    this.guard.stop();
    if (goaway !== undefined) {
      this.output.goaway(this.away.lastServed, goaway, debug);
      this.output.flush();
    }
    const code = error === undefined || error.code === ErrorCode.NO_ERROR ? ErrorCode.CANCEL : error.code;
    for (const stream of this.table.values()) {
      // What was never written cannot have been processed.
      const unsent = stream.unsent !== undefined || stream.epoch === this.output.epoch;
      if (!this.isServer && (unsent || !this.link.connected)) stream.unprocessed = true;
      stream.input.deliverComplete();
      stream.close(code, goaway !== undefined);
    }
    this.intake.close();
    this.link.close(this.settings.lingerTimeoutMs);
    this.pings.fail(error);
    this.reports.tell(() => this.listener.onClose(this, error));
  }
}
