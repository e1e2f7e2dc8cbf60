/** One attempt to have one member answer a request. It ends in exactly one of three ways, or is cancelled. */

import { type Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { TCP_KEEPALIVE_MS } from '../../net/tcp-keepalive.ts';
import { RpcError } from '../../rpc/status.ts';
import type { Body } from './forwarded-body.ts';
import type { Fields } from './headers.ts';
import type { V2Member, V2Times } from './options.ts';

/**
 * In which a member has to begin its answer to a request that does not wait for events, in milliseconds: etcd gives up
 * what it cannot do after 7 s itself, so one that takes longer hangs.
 */
const ANSWER_MS = 15_000;

/** A request as it is sent. */
export interface Message {
  readonly method: string;
  /** Path and query, as the client wrote them. */
  readonly target: string;
  readonly fields: Fields;
  readonly body: Body;
  /** Its answer comes when something happens. */
  readonly waits: boolean;
}

/** Hears the end of an attempt. */
export interface AttemptOwner {
  onAnswered(response: IncomingMessage): void;
  /** The member could not be reached, or did not answer. */
  onFailed(attempt: Attempt): void;
  /** What the client sends did not come whole. */
  onBodyFailed(error: RpcError): void;
}

export class Attempt {
  readonly member: V2Member;
  /** Whether anything of it may have reached the member. */
  sent = false;
  readonly #times: V2Times;
  readonly #owner: AttemptOwner;
  readonly #message: Message;
  readonly #request: ClientRequest;
  #timer: NodeJS.Timeout | undefined;
  #writing: NodeJS.Timeout | undefined;
  #over = false;

  /** Begins. @param agent has kept connections; without it, a new one is opened @throws an error of Node.js when it can write no such request */
  constructor(
    message: Message,
    member: V2Member,
    agent: Agent | undefined,
    times: V2Times,
    owner: AttemptOwner,
  ) {
    this.member = member;
    this.#times = times;
    this.#owner = owner;
    this.#message = message;
    const { method, target, fields, body } = message;
    this.#request = httpRequest({
      ...(agent === undefined ? { agent: false, createConnection: () => member.connect() } : { agent }),
      method,
      path: target,
      headers: [...fields, ...body.framing],
      setHost: false,
    });
    this.#request.on('socket', (socket: Socket) => this.#onSocket(socket));
    this.#request.on('response', (response) => this.#onResponse(response));
    this.#request.on('error', () => this.#fail());
    this.#request.on('close', () => this.#fail());
  }

  /** Whether it was made on a connection that the member may have closed before it came. */
  get reused(): boolean {
    return this.#request.reusedSocket;
  }

  /** Breaks it off; the owner hears no more. */
  cancel(): void {
    this.#end();
    this.#request.destroy();
  }

  #onSocket(socket: Socket): void {
    if (this.#over) return;
    if (this.reused) {
      this.#onConnected(socket);
      return;
    }
    this.#limit(this.#times.dialTimeout);
    socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => this.#onConnected(socket));
  }

  #onConnected(socket: Socket): void {
    if (this.#over) return;
    clearTimeout(this.#timer);
    this.sent = true;
    socket.setKeepAlive(true, TCP_KEEPALIVE_MS);
    const { writeTimeout } = this.#times;
    if (writeTimeout > 0) this.#watchWrites(socket, writeTimeout, 0);
    const begun = performance.now();
    this.#message.body.sendTo(this.#request).then(
      () => this.#onBodySent(begun),
      (error: unknown) => this.#failBody(RpcError.from(error)),
    );
  }

  /** From now on it is the member that is waited for, and not the client. */
  #onBodySent(begun: number): void {
    const { readTimeout } = this.#times;
    if (readTimeout > 0) this.#request.setTimeout(readTimeout, () => this.#request.destroy());
    this.#limit(this.#message.waits ? 0 : ANSWER_MS, begun);
  }

  /** A member that takes nothing of what is sent for so long is given up. */
  #watchWrites(socket: Socket, ms: number, taken: number): void {
    this.#writing = setTimeout(() => {
      const { writableLength, bytesWritten } = socket;
      const takenNow = bytesWritten - writableLength;
      if (writableLength > 0 && takenNow === taken) this.#request.destroy();
      else if (!this.#request.writableFinished) this.#watchWrites(socket, ms, takenNow);
    }, ms);
  }

  #limit(ms: number, begun = performance.now()): void {
    if (this.#over || ms === 0) return;
    this.#timer = setTimeout(() => this.#fail(), begun + ms - performance.now());
  }

  #onResponse(response: IncomingMessage): void {
    if (this.#over) {
      response.destroy();
      return;
    }
    this.#over = true;
    clearTimeout(this.#timer);
    response.once('close', () => clearTimeout(this.#writing));
    this.#owner.onAnswered(response);
  }

  #fail(): void {
    if (this.#over) return;
    this.cancel();
    this.#owner.onFailed(this);
  }

  #failBody(error: RpcError): void {
    if (this.#over) return;
    this.cancel();
    this.#owner.onBodyFailed(error);
  }

  #end(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#writing);
  }
}
