/**
 * Load that tries to catch a read telling the past: many clients read and write a few keys without a pause while
 * faults happen. What they do is chosen by a seed, when it happens is not.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type KvClient, read, write } from './clients.ts';
import type { History } from './history.ts';

/** A pseudo-random number in [0, 1) at each call (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The keys: few, so that clients ask the same. All there are between the first and the last. */
export const KEYS: readonly string[] = ['fire/0', 'fire/1', 'fire/2', 'fire/3'];

/** One client and what it does. */
export interface Session {
  readonly name: string;
  readonly client: KvClient;
  /** Which part of its operations are writes, from 0 to 1. */
  readonly writes: number;
  /** Whether its reads are serializable. */
  readonly serializable?: boolean;
  /** It rests up to so many milliseconds between operations, lest all clients march in step. */
  readonly restMs?: number;
}

/** Runs sessions until stopped and returns what failed. */
export class Fire {
  readonly failures: unknown[] = [];
  readonly history: History;
  readonly #random: () => number;
  #values = 0;

  constructor(history: History, seed: number) {
    this.history = history;
    this.#random = randomFrom(seed);
  }

  async run(sessions: readonly Session[], stop: AbortSignal): Promise<void> {
    await Promise.all(sessions.map((session) => this.#session(session, stop)));
  }

  async #session(session: Session, stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const failure = await (this.#random() < session.writes ? this.#write(session) : this.#read(session));
      if (failure !== undefined) this.failures.push(failure);
      const rest = failure === undefined ? (session.restMs ?? 0) : 20;
      if (rest > 0) await sleep(rest * this.#random());
    }
  }

  async #read({ name, client, serializable = false }: Session): Promise<unknown> {
    const keys = this.#random() < 0.3 ? KEYS : [KEYS[this.#pick(2)] as string];
    try {
      await read(client, name, keys, this.history, serializable);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  #write({ name, client }: Session): Promise<unknown> {
    const changes = new Map<string, string | undefined>();
    const several = this.#random() < 0.3 ? 2 : 1;
    for (let i = 0; i < several; i++) changes.set(KEYS[this.#pick(KEYS.length)] as string, this.#value(name));
    if (several === 2 && changes.size === 2 && this.#random() < 0.3)
      changes.set([...changes.keys()][1] as string, undefined);
    return write(client, name, changes, this.history);
  }

  #value(name: string): string {
    return `${name}/${this.#values++}`;
  }

  #pick(count: number): number {
    return Math.floor(this.#random() * count);
  }
}
