/** What really happened: every event of the store, taken from etcd itself by a watch that resumes by itself. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Event } from '#gen/mvccpb/kv_pb.js';
import { Event_EventType as EventType } from '#gen/mvccpb/kv_pb.js';
import type { RawGrpcClient } from '../../support/raw-grpc.ts';
import { until } from '../../support/until.ts';
import { b, WatchCall } from '../../support/watch-client.ts';

/** An event as one line, with and without what was there before. */
export interface Happening {
  readonly revision: number;
  readonly key: string;
  readonly isDelete: boolean;
  readonly plain: string;
  readonly withPrev: string;
}

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('latin1');

/** Reads an event. */
export function happening({ type, kv, prevKv }: Event): Happening {
  const isDelete = type === EventType.DELETE;
  const revision = Number(kv?.modRevision);
  const key = text(kv?.key);
  const plain = `${revision} ${isDelete ? 'delete' : 'put'} ${key} ${kv?.version} ${kv?.value.length}`;
  return { revision, key, isDelete, plain, withPrev: `${plain} after ${prevKv?.modRevision ?? 'nothing'}` };
}

/** Tells events apart: a revision changes a key once. */
export const nameOf = ({ key, revision }: Happening): string => `${revision} ${key}`;

export class StoreHistory {
  readonly events: Happening[] = [];
  revision: number;
  /** The highest revision that somebody has tried to compact at, and all of them. */
  compacted = 0;
  readonly compactions = new Set<number>();
  readonly #client: () => RawGrpcClient;
  #call: WatchCall | undefined;
  #closed = false;

  /** @param client a way to etcd that works, asked for whenever the one before has failed */
  constructor(client: () => RawGrpcClient, revision: number) {
    this.#client = client;
    this.revision = revision;
    void this.#run();
  }

  /** Waits until everything up to a revision is known. Something must have happened at that revision. */
  async reach(revision: number): Promise<void> {
    const known = (): boolean => this.revision >= revision;
    await until(() => `all up to ${revision} is known, not ${this.revision}`, known, 60_000);
  }

  /** Notes that a revision, or the first, is going to be compacted. */
  compacting(revision: number): number {
    const positive = Math.max(1, revision);
    this.compacted = Math.max(this.compacted, positive);
    this.compactions.add(positive);
    return positive;
  }

  close(): void {
    this.#closed = true;
    this.#call?.close();
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const call = new WatchCall(this.#client());
      this.#call = call;
      const startRevision = BigInt(this.revision + 1);
      call.create({ key: b('\0'), rangeEnd: b('\0'), startRevision, prevKv: true });
      for (;;) {
        const response = await call.next(600_000);
        if (response === undefined) break;
        for (const event of response.events) this.events.push(happening(event));
        this.revision = this.events.at(-1)?.revision ?? this.revision;
      }
      await sleep(20);
    }
  }
}
