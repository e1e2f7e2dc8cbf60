/**
 * A program that watches a range of keys and can be held still: `node reader.ts <address> <key> <range end> <first
 * revision>`. Every change must be the next revision. When its stream ends with UNAVAILABLE it goes on after its last revision, as etcd's
 * clients do. For each line on its input it writes what it has seen so far.
 */
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { RawGrpcClient } from '../../support/raw-grpc.ts';
import { b, WatchCall } from '../../support/watch-client.ts';

/** What it has seen. */
export interface Report {
  /** The last revision that it has had. */
  readonly last: number;
  /** How often its stream was ended with UNAVAILABLE. */
  readonly resumed: number;
  /** What was wrong; the first thing counts. */
  readonly fault: string | undefined;
}

const NEVER_MS = 600_000;
const UNAVAILABLE = 14;

const [address, key, rangeEnd, first] = process.argv.slice(2) as [string, string, string, string];
const client = new RawGrpcClient(address);
let last = Number(first) - 1;
let resumed = 0;
let fault: string | undefined;

createInterface({ input: process.stdin }).on('line', () => {
  const report = { last, resumed, fault } satisfies Report;
  process.stdout.write(`${JSON.stringify(report)}\n`);
});

while (fault === undefined) {
  const call = new WatchCall(client);
  call.create({ key: b(key), rangeEnd: b(rangeEnd), startRevision: BigInt(last + 1) });
  for (;;) {
    const response = await call.next(NEVER_MS);
    if (response === undefined) break;
    if (response.canceled) fault ??= `cancelled: ${response.cancelReason} ${response.compactRevision}`;
    for (const { kv } of response.events) {
      const revision = Number(kv?.modRevision);
      if (revision !== last + 1) fault ??= `${revision} after ${last}`;
      last = revision;
    }
  }
  const { code, message } = await call.end;
  if (code !== UNAVAILABLE) fault ??= `ended with ${code} ${message}`;
  resumed++;
  await sleep(20);
}
