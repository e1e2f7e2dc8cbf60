/**
 * Opens the second connection to the endpoint in use. It is asked whether it serves before it is used: behind one address
 * there may be several members. What may stay waits for it, boundedly; where it cannot be had, one carries everything.
 */
import type { Endpoint } from '../net/endpoint.ts';
import { Backoff } from '../rpc/backoff.ts';
import { Candidate } from './candidate.ts';
import type { ConnectionOwner, Dial } from './dial.ts';
import { Patience } from './patience.ts';

/** Who uses the connection. */
export interface SecondOwner {
  dial(endpoint: Endpoint, owner: ConnectionOwner): Dial;
  /** It serves. */
  onSecond(candidate: Candidate): void;
  /** For a while there is none. */
  onNoSecond(): void;
  onDialFailed(cause: string): void;
}

/** Delays after an attempt that failed, and after a connection that did not live long: everything is served meanwhile. */
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 30_000;

export class SecondConnection {
  readonly #owner: SecondOwner;
  readonly #limitMs: number;
  readonly #retries = new Backoff(FIRST_RETRY_MS, LAST_RETRY_MS);
  #candidate: Candidate | undefined;
  #patience: Patience | undefined;
  /** No attempt begins before this moment. */
  #restsUntil = 0;

  /** @param limitMs how long it may take until it has answered */
  constructor(owner: SecondOwner, limitMs: number) {
    this.#owner = owner;
    this.#limitMs = limitMs;
  }

  /** Whether it is being opened. */
  get opening(): boolean {
    return this.#candidate !== undefined;
  }

  /** Opens it, unless it is being opened or the latest attempt failed just now. */
  begin(endpoint: Endpoint): void {
    if (this.#candidate !== undefined || performance.now() < this.#restsUntil) return;
    this.#candidate = new Candidate(endpoint, {
      dial: (target, owner) => this.#owner.dial(target, owner),
      onStep: (candidate) => this.#step(candidate),
    });
    this.#patience = new Patience(this.#limitMs, () => this.#giveUp());
  }

  /** A connection is lost. @param settled it was of use for a while */
  onLost(settled: boolean): void {
    if (settled) this.#retries.reset();
    else this.#rest();
  }

  /** Ends the attempt. What was in the way of it says nothing of another endpoint. */
  close(): void {
    this.#end();
    this.#restsUntil = 0;
    this.#retries.reset();
  }

  #step(candidate: Candidate): void {
    // A candidate that is closed reports itself as failed.
    if (candidate !== this.#candidate) return;
    const { state } = candidate;
    if (state === 'connected') return;
    if (state === 'serves') {
      this.#done();
      this.#owner.onSecond(candidate);
      return;
    }
    if (state === 'failed') this.#owner.onDialFailed(candidate.cause);
    this.#giveUp();
  }

  #giveUp(): void {
    this.#end();
    this.#rest();
    this.#owner.onNoSecond();
  }

  #rest(): void {
    this.#restsUntil = performance.now() + this.#retries.next();
  }

  #end(): void {
    const candidate = this.#candidate;
    this.#done();
    candidate?.close();
  }

  #done(): void {
    this.#patience?.end();
    this.#candidate = undefined;
  }
}
