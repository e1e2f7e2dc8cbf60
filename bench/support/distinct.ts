/** Very many different keys, each read once: what remembers answers must not remember these. */

import { create, toBinary } from '@bufbuild/protobuf';
import { RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { KV } from '../../src/etcd/methods.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { connect } from '../../test/reads/clients.ts';
import type { Contestant } from './contestants.ts';
import { cpuSeconds, median } from './cpu.ts';
import { mib, residentBytes } from './memory.ts';

/** Different keys that our proxy is asked for. */
const KEYS = Number(process.env.BENCH_KEYS ?? 1_000_000);
/** Those that are there for comparison get this part of them. */
const SHARE = 1 / 5;
/** In so many turns. */
const TURNS = 10;
/** Reads under way at a time. */
const STREAMS = 128;

/** The head of the table that {@link compareDistinct} fills. */
export const DISTINCT_HEAD: readonly string[] = [
  '| work | server | requests/s | vs grpc-proxy | CPU µs/request | RSS before | RSS after |',
  '| --- | --- | --- | --- | --- | --- | --- |',
];

/** Reads keys that nobody has read, and that do not exist. @returns reads a second */
async function readOnce(address: string, from: number, count: number): Promise<number> {
  const cluster = connect(address);
  const began = performance.now();
  let next = from;
  async function reader(): Promise<void> {
    while (next < from + count) {
      const key = Buffer.from(`bench/distinct/${next++}`);
      const request = toBinary(RangeRequestSchema, create(RangeRequestSchema, { key, serializable: true }));
      await cluster.unary(request, new OwnCall(KV.Range, NO_METADATA, Number.POSITIVE_INFINITY));
    }
  }
  await Promise.all(Array.from({ length: STREAMS }, reader));
  const rate = (count / (performance.now() - began)) * 1000;
  cluster.close();
  return rate;
}

/** The rows of the table: contestants in turns, the first one the measure, the last one with all keys. */
export async function compareDistinct(contestants: readonly Contestant[]): Promise<string[]> {
  const results = contestants.map(({ pid }) => ({
    rates: [] as number[],
    cpu: cpuSeconds(pid),
    memory: residentBytes(pid),
  }));
  const each = contestants.map((_, index) =>
    Math.ceil((KEYS / TURNS) * (index === contestants.length - 1 ? 1 : SHARE)),
  );
  for (let turn = 0; turn < TURNS; turn++) {
    for (const [index, { address }] of contestants.entries()) {
      const count = each[index] as number;
      results[index]?.rates.push(await readOnce(address, turn * count, count));
    }
  }
  const base = median(results[0]?.rates ?? []);
  return results.map(({ rates, cpu, memory }, index) => {
    const { name, pid } = contestants[index] as Contestant;
    const keys = TURNS * (each[index] as number);
    const micros = ((cpuSeconds(pid) - cpu) / keys) * 1e6;
    const rate = median(rates);
    const row = [
      `${keys} keys, each read once`,
      name,
      Math.round(rate),
      `${(rate / base).toFixed(2)}x`,
      micros.toFixed(1),
      `${mib(memory)} MiB`,
      `${mib(residentBytes(pid))} MiB`,
    ];
    return `| ${row.join(' | ')} |`;
  });
}
