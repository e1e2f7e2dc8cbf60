/**
 * One request for `/v2` from its head to its end: one member after the other until one answers, and the answer as it comes.
 *
 * What only reads is asked again elsewhere. What may write goes to another member only while nothing of it was sent.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RpcError } from '../../rpc/status.ts';
import type { MemberAgents } from './agents.ts';
import { Attempt, type AttemptOwner, type Message } from './attempt.ts';
import type { Director } from './director.ts';
import { type Fields, forwardedResponseFields } from './headers.ts';
import type { V2Member, V2Options } from './options.ts';

/** Methods that change nothing (RFC 9110 section 9.2.1), as far as etcd has them. */
export const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/** What a proxy answers to a request that has come around (RFC 5842 section 7.2); etcd never does. */
export const LOOP_DETECTED = 508;

/** What may stand behind a status (RFC 9112 section 4). */
const REASON = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Where it is sent, and who hears of it. */
export interface Road {
  readonly options: V2Options;
  readonly director: Director;
  readonly agents: MemberAgents;
}

export class ForwardedRequest implements AttemptOwner {
  readonly #message: Message;
  readonly #response: ServerResponse;
  /** Fields that the proxy adds to the answer. */
  readonly #own: Fields;
  readonly #road: Road;
  readonly #began = performance.now();
  #left: V2Member[] = [];
  #tried = 0;
  #attempt: Attempt | undefined;
  #answer: IncomingMessage | undefined;

  constructor(message: Message, response: ServerResponse, own: Fields, road: Road) {
    this.#message = message;
    this.#response = response;
    this.#own = own;
    this.#road = road;
  }

  /** Sends it. @throws an error of Node.js when it can write no such request */
  start(): void {
    const { director, options } = this.#road;
    this.#left = director.available();
    if (this.#left.length === 0) {
      options.observer.onDropped(this.#message.method, 'zero_endpoints');
      this.refuse(503, 'httpproxy: zero endpoints currently available');
      return;
    }
    this.#response.once('close', () => this.#abandon());
    this.#next();
  }

  /** Ends it if it waits for events: its client asks again, elsewhere. */
  endWait(): void {
    if (!this.#message.waits) return;
    if (this.#answer === undefined) this.refuse(503, 'httpproxy: the proxy is shutting down');
    else this.#response.end();
    this.#abandon();
  }

  onAnswered(answer: IncomingMessage): void {
    const response = this.#response;
    const { statusCode = 0, statusMessage = '' } = answer;
    if (statusCode < 200 || !REASON.test(statusMessage)) {
      // Nothing that HTTP has, although Node.js reads it: it would not write it.
      answer.destroy();
      this.#fail('');
      return;
    }
    if (statusCode === LOOP_DETECTED && this.#leaveCircle()) {
      answer.destroy();
      return;
    }
    this.#answer = answer;
    const seconds = (performance.now() - this.#began) / 1000;
    this.#road.options.observer.onHandled(this.#message.method, statusCode, seconds);
    response.writeHead(statusCode, statusMessage, [...forwardedResponseFields(answer), ...this.#own]);
    // What a client waits for may be this alone.
    response.flushHeaders();
    answer.on('data', (part: Buffer) => {
      if (!response.write(part)) answer.pause();
    });
    response.on('drain', () => answer.resume());
    answer.on('end', () => response.end());
    // Of an answer that breaks off the client must not see an end.
    answer.on('error', () => response.destroy());
  }

  onFailed(attempt: Attempt): void {
    const { director, options } = this.#road;
    const { method } = this.#message;
    const isSafe = SAFE_METHODS.has(method);
    if (attempt.reused && isSafe) {
      this.#try(attempt.member, false);
      return;
    }
    if (!attempt.reused) director.onFailed(attempt.member);
    options.observer.onDropped(method, 'failed_sending_request');
    if (attempt.sent && !isSafe) this.#fail('; the request may have been carried out');
    else this.#next();
  }

  onBodyFailed({ message }: RpcError): void {
    this.refuse(500, `httpproxy: failed to read request body: ${message}`);
  }

  /** Answers in the place of a member. */
  refuse(status: number, message: string): void {
    if (this.#response.headersSent || this.#response.destroyed) return;
    answerWith(this.#response, status, { message }, this.#own);
  }

  /** The member leads back to the proxy, which did nothing then. @returns whether another one is asked */
  #leaveCircle(): boolean {
    const { director } = this.#road;
    if (this.#attempt !== undefined) director.onCircle(this.#attempt.member);
    if (this.#left.length === 0 || !this.#message.body.repeats) return false;
    this.#next();
    return true;
  }

  #next(): void {
    const member = this.#left.shift();
    if (member === undefined) this.#fail('');
    else {
      this.#tried++;
      this.#try(member, true);
    }
  }

  #try(member: V2Member, keeps: boolean): void {
    const { agents, options } = this.#road;
    const agent = keeps ? agents.of(member) : undefined;
    this.#attempt = new Attempt(this.#message, member, agent, options.times, this);
  }

  #fail(more: string): void {
    this.#road.options.observer.onDropped(this.#message.method, 'failed_getting_response');
    this.refuse(502, `httpproxy: unable to get response from ${this.#tried} endpoint(s)${more}`);
  }

  #abandon(): void {
    this.#attempt?.cancel();
    this.#answer?.off('error', ignore).on('error', ignore).destroy();
  }
}

const ignore = (): void => {};

/** Writes an answer of the proxy's own, as the old one did. */
export function answerWith(response: ServerResponse, status: number, body: object, own: Fields): void {
  const text = Buffer.from(JSON.stringify(body));
  const type = ['Content-Type', 'application/json', 'Content-Length', String(text.length)];
  response.writeHead(status, [...type, ...own]).end(text);
}
