/**
 * One HTTP/2 connection of either role over a socket: wires the parts together, and owns the life of the
 * connection from the preface to GOAWAY. The members marked internal are for the parts.
 *
 *   socket -> FrameReader -> FrameHandler -> HeaderInput -> Http2Stream -> StreamListener
 *   Http2Stream -> (SendScheduler) -> Output -> socket, flushed once a turn
 */
import type { Socket } from 'node:net';
import { ErrorCode, Http2Error } from './errors.ts';
import { DEFAULT_WINDOW, Flag, FrameType, MAX_31_BITS, PREFACE } from './frame.ts';
import { FrameHandler } from './frame-handler.ts';
import { FrameReader } from './frame-reader.ts';
import { GoingAway } from './going-away.ts';
import { Guard } from './guard.ts';
import { Keepalive } from './keepalive.ts';
import { type ConnectionListener, NO_LISTENER, type StreamListener } from './listener.ts';
import { Output } from './output.ts';
import { type PingDone, Pings } from './pings.ts';
import { ReceiveWindow } from './receive-window.ts';
import { SendScheduler } from './send-scheduler.ts';
import { completeSettings, type Http2Settings, type LimitName, type Role } from './settings.ts';
import { encodeSettings, PeerSettings } from './settings-frame.ts';
import { SocketLink } from './socket-link.ts';
import { Http2Stream } from './stream.ts';
import { Past, StreamTable } from './stream-table.ts';
import { atEndOfTurn } from './turn.ts';
import { Deadline, Watchdog } from './watchdog.ts';

const NOTHING = new Uint8Array(0);
/** Data that may be in the socket beside what the peer's own frames made us send. */
const PUMPED = 2 << 20;

/** A connection. It starts by itself; its listener is first called after the constructor has returned. */
export class Http2Connection {
  /** True once the connection is of no more use; every stream is closed then. */
  closed = false;
  /** @internal */ readonly isServer: boolean;
  /** @internal */ readonly listener: ConnectionListener;
  /** @internal */ readonly settings: Http2Settings;
  /** @internal */ readonly output: Output;
  /** @internal */ readonly scheduler = new SendScheduler();
  /** @internal */ readonly receiver: ReceiveWindow;
  /** @internal */ readonly table = new StreamTable();
  /** @internal */ readonly peer = new PeerSettings();
  /** @internal */ readonly pings = new Pings();
  /** @internal */ readonly guard: Guard;
  /** @internal */ readonly away: GoingAway;
  /** @internal Receive window of a new stream, in octets. */
  receiveWindowSize: number;
  /** @internal The time of the last input, as of `performance.now()`. */
  now: number = performance.now();

  private readonly reader: FrameReader;
  private readonly handler: FrameHandler;
  private readonly watchdog: Watchdog;
  private readonly keepalive: Keepalive;
  private readonly link: SocketLink;
  private ready = false;
  private acknowledged = false;
  private outOfSlots = false;
  private noTable = false;
  private framesBefore = 0;
  private openedBefore = -1;
  /** Inside `received` or `endOfTurn`, which flush when they are done. */
  private inTurn = false;
  private waking = false;
  private resuming: Http2Stream[] = [];

  /**
   * @param socket connected, or still connecting; a TLS socket must have negotiated `h2`
   * @param head octets that were already read from the socket
   * @throws RangeError for settings out of range
   */
  constructor(
    socket: Socket,
    role: Role,
    listener: ConnectionListener,
    settings: Partial<Http2Settings> = {},
    head?: Buffer,
  ) {
    this.isServer = role === 'server';
    this.listener = listener;
    this.settings = completeSettings(role, settings);
    // Until the peer has seen our settings it may rely on the RFC's window.
    this.receiveWindowSize = Math.max(this.settings.initialWindowSize, DEFAULT_WINDOW);
    this.receiver = new ReceiveWindow(this.settings.connectionWindowSize, this.settings.maxHeldBytes);
    this.output = new Output(socket, this);
    this.watchdog = new Watchdog((kind) => this.expired(kind));
    this.guard = new Guard(this);
    this.away = new GoingAway(this, this.watchdog);
    this.keepalive = new Keepalive(this, this.watchdog);
    this.handler = new FrameHandler(this);
    this.reader = new FrameReader(this.handler, this.settings.maxFrameSize, this.isServer);
    this.sendPreface();
    this.link = new SocketLink(socket, this, head);
  }

  /** Open streams of both sides. */
  get openStreams(): number {
    return this.table.size;
  }

  /** True once either side has sent GOAWAY: no new streams. */
  get draining(): boolean {
    return this.away.draining;
  }

  /** Client role: `request` will not throw. */
  get canOpenStream(): boolean {
    if (this.closed || this.isServer || this.away.draining || this.table.nextId > MAX_31_BITS) return false;
    return this.table.size < (this.ready ? this.peer.maxConcurrentStreams : this.settings.initialStreamLimit);
  }

  /**
   * Client role: opens a stream with the request's field block.
   * @throws Http2Error REFUSED_STREAM unless {@link canOpenStream}
   */
  request(block: Uint8Array, listener: StreamListener, endStream: boolean): Http2Stream {
    if (!this.canOpenStream) throw new Http2Error(ErrorCode.REFUSED_STREAM, 'no stream can be opened');
    const { table } = this;
    const stream = new Http2Stream(
      this,
      table.nextId,
      [],
      this.peer.initialWindowSize,
      this.receiveWindowSize,
    );
    table.nextId += 2;
    table.add(stream);
    stream.listener = listener;
    this.output.headers(stream.id, block, endStream);
    this.wake();
    if (endStream) stream.localEnd();
    this.outOfSlots = !this.canOpenStream;
    return stream;
  }

  /** Sends a PING; `done` is called once, with the round-trip time or the error that ended the connection. */
  ping(done: PingDone): void {
    if (this.closed) {
      done(new Http2Error(ErrorCode.CANCEL, 'the connection is closed'), 0);
      return;
    }
    this.pings.send(this.output, done);
    this.wake();
  }

  /** Ends the connection gracefully: no new streams, GOAWAY, and close after the last stream (RFC 9113 section 6.8). */
  drain(): void {
    if (this.closed) return;
    this.away.start();
    this.wake();
  }

  /** Ends the connection now, with GOAWAY; `debug` goes along with it. */
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
  endOfTurn(): void {
    this.waking = false;
    if (this.closed) return;
    this.inTurn = true;
    const { resuming } = this;
    if (resuming.length > 0) {
      this.resuming = [];
      for (const stream of resuming) stream.deliverHeld();
    }
    this.flush();
  }

  /** @internal A stream wants what was kept for it at the end of the turn. */
  resumed(stream: Http2Stream): void {
    this.resuming.push(stream);
    this.wake();
  }

  /** @internal SocketOwner: the connection may begin. */
  started(): void {
    const { settings, watchdog } = this;
    this.now = performance.now();
    watchdog.arm(Deadline.PREFACE, settings.prefaceTimeoutMs, this.now);
    watchdog.arm(Deadline.SETTINGS_ACK, settings.settingsTimeoutMs, this.now);
    watchdog.arm(Deadline.IDLE, settings.idleTimeoutMs, this.now);
    this.keepalive.start(this.now);
    this.wake();
  }

  /** @internal SocketOwner: input. No byte of the peer makes this throw. */
  received(chunk: Buffer): void {
    this.now = performance.now();
    this.inTurn = true;
    try {
      this.reader.feed(chunk);
    } catch (error) {
      this.broken(error);
    }
    if (this.closed) return;
    this.watchInput();
    this.flush();
  }

  /** @internal SocketOwner: the socket has ended. */
  gone(failure: Error | undefined): void {
    const lost = new Http2Error(ErrorCode.CANCEL, failure?.message ?? 'the peer closed the connection', {
      cause: failure,
    });
    this.shut(
      this.away.reason ?? (failure === undefined && this.openStreams === 0 ? undefined : lost),
      undefined,
      '',
    );
  }

  /** @internal OutputOwner: the socket has written. */
  outputWritten(): void {
    if (this.closed) return;
    const { watchdog } = this;
    if (watchdog.armed(Deadline.WRITE)) {
      if (this.output.busy) watchdog.arm(Deadline.WRITE, this.settings.writeTimeoutMs, performance.now());
      else watchdog.disarm(Deadline.WRITE);
    }
    if (this.scheduler.waiting) this.wake();
  }

  /** @internal Server role: a new stream goes to the owner. */
  accept(stream: Http2Stream): void {
    try {
      this.listener.onStream(stream);
    } catch (failure) {
      this.report(failure);
      stream.reset(ErrorCode.INTERNAL_ERROR);
    }
    if (stream.listener === NO_LISTENER) stream.reset(ErrorCode.INTERNAL_ERROR);
  }

  /** @internal The stream is closed and leaves the table. */
  leave(stream: Http2Stream, local: boolean): void {
    if (stream.endStreamReceived && !local) this.table.remove(stream.id, Past.ENDED);
    else this.table.remove(stream.id, local ? Past.IGNORED : Past.RESET_BY_PEER);
  }

  /** @internal The listener of a closed stream was told. */
  left(): void {
    if (this.closed) return;
    if (this.outOfSlots && this.canOpenStream) {
      this.outOfSlots = false;
      this.tell(() => this.listener.onStreamSlots(this));
    }
    if (this.away.draining) this.wake();
  }

  /** @internal The peer's mistake concerns one stream only (RFC 9113 section 5.4.2). */
  streamError(stream: Http2Stream, code: number): void {
    stream.reset(code);
    this.guard.countReset();
  }

  /** @internal Resets a stream that is not in the table. */
  refuse(id: number, code: number): void {
    this.output.number(FrameType.RST_STREAM, id, code);
    this.guard.countReset();
  }

  /** @internal RST_STREAM has arrived. */
  resetByPeer(stream: Http2Stream, code: number): void {
    const wasted = this.isServer && !stream.answered;
    if (code === ErrorCode.REFUSED_STREAM && !this.isServer && !stream.answered) stream.unprocessed = true;
    stream.deliverComplete();
    stream.close(code, false);
    if (wasted) this.guard.countReset();
  }

  /** @internal What became of a stream that is not in the table. */
  pastOf(id: number): number {
    const { table } = this;
    if (id % 2 === 0) return Past.IDLE;
    return table.past(id, this.isServer ? table.lastPeerId + 1 : table.nextId);
  }

  /** @internal The peer knows our settings now; false if it said so before. */
  settingsAcknowledged(): boolean {
    if (this.acknowledged) return false;
    this.acknowledged = true;
    this.watchdog.disarm(Deadline.SETTINGS_ACK);
    const excess = this.receiveWindowSize - this.settings.initialWindowSize;
    this.receiveWindowSize -= excess;
    if (excess > 0) for (const stream of this.table.values()) stream.receiveWindow -= excess;
    return true;
  }

  /** @internal The peer's SETTINGS have arrived (RFC 9113 section 6.5.3). */
  applySettings(source: Buffer, start: number, end: number): void {
    const { peer, output } = this;
    const before = peer.initialWindowSize;
    peer.apply(source, start, end, this.isServer ? 'server' : 'client');
    output.maxFrame = Math.min(peer.maxFrameSize, 65_536);
    if (peer.lowestTableSize < 4096 && !this.noTable) {
      this.noTable = true;
      output.announceNoTable = true;
    }
    const delta = peer.initialWindowSize - before;
    if (delta !== 0) this.moveWindows(delta);
    output.frame(FrameType.SETTINGS, Flag.ACK, 0, NOTHING);
    this.outOfSlots ||= !this.canOpenStream;
    if (!this.ready) {
      this.ready = true;
      this.watchdog.disarm(Deadline.PREFACE);
      this.tell(() => this.listener.onReady(this));
    }
    this.left();
  }

  /** @internal Calls a listener; what it throws is reported. */
  tell(call: () => void): void {
    try {
      call();
    } catch (failure) {
      this.report(failure);
    }
  }

  /** @internal A listener has thrown. */
  report(failure: unknown): void {
    try {
      this.listener.onFailure?.(this, failure);
    } catch {
      // A listener that throws while it is told of a failure cannot be told.
    }
  }

  private moveWindows(delta: number): void {
    for (const stream of this.table.values()) {
      if (stream.moveSendWindow(delta)) continue;
      throw new Http2Error(ErrorCode.FLOW_CONTROL_ERROR, 'stream window over 2^31 - 1');
    }
  }

  private sendPreface(): void {
    const { output, settings } = this;
    if (!this.isServer) output.bytes(PREFACE);
    output.frame(FrameType.SETTINGS, 0, 0, encodeSettings(this.isServer ? 'server' : 'client', settings));
    const more = settings.connectionWindowSize - DEFAULT_WINDOW;
    if (more > 0) output.number(FrameType.WINDOW_UPDATE, 0, more);
  }

  /** Sends what can be sent; ends the turn. */
  private flush(): void {
    const { output, scheduler } = this;
    const more = scheduler.pump(output);
    if (this.closed) return;
    output.flush();
    this.inTurn = false;
    if (this.away.finished) this.shut(this.away.reason, undefined, '');
    else if (output.unread > this.settings.maxUnreadBytes + PUMPED) this.overrun('maxUnreadBytes');
    else if (scheduler.queued > this.settings.maxQueuedBytes) this.overrun('maxQueuedBytes');
    else {
      if (output.busy && output.unread > 0 && !this.watchdog.armed(Deadline.WRITE)) {
        this.watchdog.arm(Deadline.WRITE, this.settings.writeTimeoutMs, performance.now());
      }
      if (more || this.resuming.length > 0 || (scheduler.waiting && scheduler.window > 0 && !output.full))
        this.wake();
    }
  }

  private overrun(limit: LimitName): void {
    const error = this.guard.over(limit, 'the peer does not read');
    this.shut(error, error.code, error.message);
  }

  /** A frame, or a field block, must not stay incomplete for long. */
  private watchInput(): void {
    const { watchdog, handler, reader } = this;
    const progress = handler.frames !== this.framesBefore && !handler.midBlock;
    this.framesBefore = handler.frames;
    if (!reader.incomplete && !handler.midBlock) watchdog.disarm(Deadline.INCOMPLETE);
    else if (progress || !watchdog.armed(Deadline.INCOMPLETE)) {
      watchdog.arm(Deadline.INCOMPLETE, this.settings.headersTimeoutMs, this.now);
    }
  }

  private expired(kind: number): void {
    const now = performance.now();
    if (kind === Deadline.PREFACE) this.timedOut('prefaceTimeoutMs', ErrorCode.SETTINGS_TIMEOUT);
    else if (kind === Deadline.SETTINGS_ACK) this.timedOut('settingsTimeoutMs', ErrorCode.SETTINGS_TIMEOUT);
    else if (kind === Deadline.INCOMPLETE) this.timedOut('headersTimeoutMs', ErrorCode.ENHANCE_YOUR_CALM);
    else if (kind === Deadline.WRITE) this.timedOut('writeTimeoutMs', ErrorCode.ENHANCE_YOUR_CALM);
    else if (kind === Deadline.KEEPALIVE) this.keepalive.intervalOver(this.now, now);
    else if (kind === Deadline.DRAIN) this.away.sendFinal();
    else if (kind === Deadline.IDLE) this.checkIdle(now);
    else if (this.keepalive.isDead(this.now, now)) this.timedOut('keepaliveTimeoutMs', ErrorCode.NO_ERROR);
  }

  private timedOut(limit: LimitName, code: number): void {
    this.guard.reached(limit);
    this.shut(new Http2Error(code, `${limit} passed`), code, limit);
  }

  private checkIdle(now: number): void {
    if (this.openStreams === 0 && this.table.opened === this.openedBefore) {
      this.guard.reached('idleTimeoutMs');
      this.drain();
    } else {
      this.openedBefore = this.openStreams === 0 ? this.table.opened : -1;
      this.watchdog.arm(Deadline.IDLE, this.settings.idleTimeoutMs, now);
    }
  }

  private broken(error: unknown): void {
    if (error instanceof Http2Error) {
      this.shut(error, error.code, error.message);
    } else {
      this.report(error);
      this.shut(
        new Http2Error(ErrorCode.INTERNAL_ERROR, 'internal', { cause: error }),
        ErrorCode.INTERNAL_ERROR,
        '',
      );
    }
  }

  /** The end: all streams are closed, then the listener is told. Without a `goaway` code none is sent. */
  private shut(error: Http2Error | undefined, goaway: number | undefined, debug: string): void {
    if (this.closed) return;
    this.closed = true;
    this.watchdog.stop();
    if (goaway !== undefined) {
      this.output.goaway(this.isServer ? this.table.lastPeerId : 0, goaway, debug);
      this.output.flush();
    }
    const code = error === undefined || error.code === ErrorCode.NO_ERROR ? ErrorCode.CANCEL : error.code;
    for (const stream of this.table.values()) {
      // What was never written cannot have been processed.
      if (!this.isServer && (!this.link.connected || stream.epoch === this.output.epoch))
        stream.unprocessed = true;
      stream.deliverComplete();
      stream.close(code, goaway !== undefined);
    }
    this.link.close(this.settings.lingerTimeoutMs);
    this.pings.fail(error ?? new Http2Error(ErrorCode.CANCEL, 'the connection is closed'));
    this.tell(() => this.listener.onClose(this, error));
  }
}
