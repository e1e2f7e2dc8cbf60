/** An endpoint that may be used next: a connection is opened to it, and it is asked whether it serves. */
import { Standing } from '../etcd/words.ts';
import type { Http2Connection } from '../http2/index.ts';
import type { Endpoint } from '../net/endpoint.ts';
import type { ConnectionOwner, Dial } from './dial.ts';
import { Question, type QuestionAnswer } from './question.ts';

/** Hears of every step. */
export interface CandidateOwner {
  /** Begins to connect. */
  dial(endpoint: Endpoint, owner: ConnectionOwner): Dial;
  onStep(candidate: Candidate): void;
  /** How often the question is put, one after the other; once by default. */
  readonly questions?: number;
}

/** How far it has come: `connected` waits for the answer to the question. */
export type CandidateState = 'dialing' | 'connected' | 'serves' | 'refuses' | 'failed';

/**
 * Standings beside those of etcd's refusals: an endpoint that has not answered yet (no bad sign), and a member of
 * another cluster.
 */
const SILENT = 0;
const FOREIGN = Standing.LEARNER + 1;
const NO_ETCD = FOREIGN + 1;

export class Candidate implements ConnectionOwner {
  readonly endpoint: Endpoint;
  readonly dial: Dial;
  state: CandidateState = 'dialing';
  /** Set once connected. */
  connection: Http2Connection | undefined;
  /** The shortest time that an answer has taken, in milliseconds. */
  roundTripMs: number = Number.POSITIVE_INFINITY;
  /** The id of its cluster, where it has said so. */
  cluster: string | undefined;
  /** How good it would be if none served; the least is the best. */
  standing: number = SILENT;
  /** Why it failed or refused. */
  cause = '';
  /** It failed because this proxy itself is there, or is what it turns to. */
  leadsBack = false;
  readonly #owner: CandidateOwner;
  #question: Question | undefined;
  #askedAt = 0;
  #answers = 0;

  constructor(endpoint: Endpoint, owner: CandidateOwner) {
    this.endpoint = endpoint;
    this.#owner = owner;
    this.dial = owner.dial(endpoint, this);
  }

  /** It answers for another cluster than the one in use. */
  disown(): void {
    this.state = 'refuses';
    this.standing = FOREIGN;
    this.cause = `${this.endpoint.name} is a member of another cluster`;
  }

  /** It is no etcd, but something else that speaks HTTP/2: used in no case, where there is another one. */
  get isNoEtcd(): boolean {
    return this.standing === NO_ETCD;
  }

  /** Nobody is interested any more. */
  close(): void {
    this.#question?.cancel();
    this.dial.close();
  }

  /** The connection is going to be used: the question, if it is still open, is taken back. */
  release(): void {
    this.#question?.cancel();
  }

  onConnected(connection: Http2Connection): void {
    this.connection = connection;
    this.state = 'connected';
    this.#ask(connection);
    this.#owner.onStep(this);
  }

  onFailed(cause: string): void {
    this.state = 'failed';
    this.cause = cause;
    this.#owner.onStep(this);
  }

  onLost(_connection: Http2Connection, cause: string): void {
    this.#question = undefined;
    if (this.state === 'failed') return;
    this.connection = undefined;
    this.onFailed(`${this.endpoint.name}: ${cause}`);
  }

  onSpent(): void {
    // There is one call.
  }

  onStreamSlots(): void {
    // One stream is all that the question needs.
  }

  onLimit(): void {
    // A connection with one small call reaches none.
  }

  onFault(error: unknown): void {
    throw error;
  }

  pingsIdle(): boolean {
    return false;
  }

  #ask(connection: Http2Connection): void {
    if (!connection.canOpenStream) return;
    this.#askedAt = performance.now();
    this.#question = new Question({ connection, endpoint: this.endpoint }, (reply) => this.#replied(reply));
  }

  #replied(reply: QuestionAnswer): void {
    this.#question = undefined;
    if (this.state !== 'connected') return;
    if (reply.kind === 'leadsBack') {
      this.leadsBack = true;
      this.connection = undefined;
      this.onFailed(causeOfCircle(this.endpoint));
      this.dial.close();
      return;
    }
    if (reply.kind === 'serves') {
      this.roundTripMs = Math.min(this.roundTripMs, performance.now() - this.#askedAt);
      if (++this.#answers < (this.#owner.questions ?? 1) && this.connection !== undefined) {
        this.#ask(this.connection);
        return;
      }
      this.state = 'serves';
      this.cluster = reply.cluster;
    } else {
      this.state = 'refuses';
      this.standing = reply.kind === 'isNoEtcd' ? NO_ETCD : reply.standing;
      this.cause = `${this.endpoint.name}: ${reply.reason}`;
    }
    this.#owner.onStep(this);
  }
}

/** What is said of an endpoint that leads back to this proxy. */
export function causeOfCircle({ name }: Endpoint): string {
  return `${name} leads back to this proxy`;
}
