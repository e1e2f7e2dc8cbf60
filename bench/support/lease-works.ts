/** What `bench:lease` does with each server. */
import { setTimeout as sleep } from 'node:timers/promises';
import { grant, grantMany, revoke } from '../../test/lease/beats.ts';
import { KeptLeases } from '../../test/lease/kept-leases.ts';
import { RawGrpcClient } from '../../test/support/raw-grpc.ts';
import { BeatingLeases } from './beating.ts';
import type { Contestant } from './contestants.ts';
import { cpuSeconds } from './cpu.ts';
import { residentBytes } from './memory.ts';

/** What came of a work. */
export interface LeaseResult {
  /** Answers a second. */
  readonly rate: number;
  /** CPU seconds of the server. */
  readonly cpu: number;
  /** By how many bytes its resident memory grew. */
  readonly rss: number;
  /** How long answers took, in milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Streams at etcd while it went on. */
  readonly streams: number;
  readonly errors: number;
  readonly lost: number;
}

/** The streams of heartbeats that are open at etcd. */
export type Streams = () => Promise<number>;

interface Measured {
  readonly answers: number;
  readonly times: readonly number[];
  /** Streams of heartbeats at etcd. */
  readonly open: number;
  readonly errors: number;
  readonly lost: number;
}

async function measure(
  { pid }: Contestant,
  streams: Streams,
  work: () => Promise<Measured>,
): Promise<LeaseResult> {
  const before = await streams();
  const [cpu, rss, begun] = [cpuSeconds(pid), residentBytes(pid), performance.now()];
  const { answers, times, open, errors, lost } = await work();
  const seconds = (performance.now() - begun) / 1000;
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
  return {
    rate: answers / seconds,
    cpu: cpuSeconds(pid) - cpu,
    rss: residentBytes(pid) - rss,
    ...{ p50: at(0.5), p99: at(0.99), streams: open - before, errors, lost },
  };
}

/** Many clients, each with a connection and a lease, in the rhythm of etcd's Go client. */
export async function kept(
  contestant: Contestant,
  streams: Streams,
  leases: number,
  ttlSeconds: number,
  seconds: number,
): Promise<LeaseResult> {
  using client = new RawGrpcClient(contestant.address);
  // Each is granted when its client begins: with a longer time to live, the incumbent would let its clients wait for longer.
  const source = { count: leases, grant: () => grant(client, ttlSeconds) };
  return await measure(contestant, streams, async () => {
    await using all = await KeptLeases.begin(contestant.address, source, {
      ttlSeconds,
      perConnection: 1,
      spread: true,
    });
    await sleep(seconds * 1000);
    const open = await streams();
    return {
      answers: all.answers,
      times: all.times,
      open,
      errors: all.endings.length,
      lost: all.lost.size,
    };
  });
}

/** Few clients that send a heartbeat as soon as they have the answer to the one before. */
export async function beating(
  contestant: Contestant,
  streams: Streams,
  clients: number,
  seconds: number,
): Promise<LeaseResult> {
  using client = new RawGrpcClient(contestant.address);
  const ids = await grantMany(client, 60, clients);
  return await measure(contestant, streams, async () => {
    await using all = await BeatingLeases.begin(contestant.address, ids);
    await sleep(seconds * 1000);
    const open = await streams();
    const lost = all.gone;
    return { answers: all.times.length, times: all.times, open, errors: all.errors, lost };
  });
}

/** Grants and revokes, so many at a time. */
export async function flood(
  contestant: Contestant,
  streams: Streams,
  atOnce: number,
  seconds: number,
): Promise<LeaseResult> {
  using client = new RawGrpcClient(contestant.address);
  return await measure(contestant, streams, async () => {
    const times: number[] = [];
    let errors = 0;
    const end = performance.now() + seconds * 1000;
    const one = async (): Promise<void> => {
      while (performance.now() < end) {
        try {
          const begun = performance.now();
          const id = await grant(client, 60);
          const granted = performance.now();
          await revoke(client, id);
          times.push(granted - begun, performance.now() - granted);
        } catch {
          errors++;
        }
      }
    };
    await Promise.all(Array.from({ length: atOnce }, one));
    return { answers: times.length, times, open: await streams(), errors, lost: 0 };
  });
}
