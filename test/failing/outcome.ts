/** What a load through a failing member came to: how long nothing was served, and what was lost. */
import type { GrpcOutcome } from '../support/raw-grpc.ts';
import type { StoredKey } from './admin.ts';
import type { Sample } from './call-load.ts';
import type { Who } from './contestants.ts';
import type { SeenEvent } from './long-calls.ts';

/** What was seen of a contestant. */
export interface Raw {
  readonly who: Who;
  /** From when on service is due, in milliseconds of `performance.now()`. */
  readonly since: number;
  readonly samples: readonly Sample[];
  readonly stored: ReadonlyMap<string, StoredKey>;
  readonly watches: readonly { readonly events: readonly SeenEvent[]; readonly endings: readonly string[] }[];
  readonly lostLeases: readonly string[];
  readonly lock: GrpcOutcome | undefined;
  readonly switches: number | undefined;
}

/** What became of the calls of one kind. */
export interface Calls {
  /** From when service was due until it was there; undefined where it never was. */
  readonly serviceMs: number | undefined;
  /** Of the calls begun after that (or after {@link GRACE_MS}), how many there were and how many were answered. */
  readonly begun: number;
  readonly answered: number;
  /** How often each failure occurred after the fault. */
  readonly failures: ReadonlyMap<string, number>;
}

/** The whole. */
export interface Outcome {
  readonly who: Who;
  readonly put: Calls;
  readonly get: Calls;
  /** Keys that are in the store more often than they were put, or acknowledged and not there. */
  readonly wrongWrites: readonly string[];
  readonly events: number;
  /** Events that a watch lost, saw twice, or saw out of order; over all watches. */
  readonly wrongEvents: number;
  readonly watchEndings: readonly string[];
  readonly lostLeases: readonly string[];
  /** Whether the Lock got its turn, or what became of it. */
  readonly lock: string;
  readonly switches: number | undefined;
}

/** So many successes in a row make service. */
const IN_A_ROW = 10;

/** Where service never comes back, calls are counted from here on. Milliseconds after the fault. */
const GRACE_MS = 3_000;

function summarizeCalls(samples: readonly Sample[], since: number): Calls {
  const after = samples
    .filter(({ sentAt }) => sentAt >= since)
    .sort((one, other) => one.sentAt - other.sentAt);
  const first = after.findIndex(
    (_, i) => i + IN_A_ROW <= after.length && after.slice(i, i + IN_A_ROW).every(({ ok }) => ok),
  );
  const serviceMs = first < 0 ? undefined : Math.max(0, (after[first] as Sample).endedAt - since);
  const counted = after.filter(({ sentAt }) => sentAt >= since + (serviceMs ?? GRACE_MS));
  const failures = new Map<string, number>();
  for (const { ok, failure } of after)
    if (!ok) failures.set(failure.slice(0, 90), (failures.get(failure.slice(0, 90)) ?? 0) + 1);
  return { serviceMs, begun: counted.length, answered: counted.filter(({ ok }) => ok).length, failures };
}

function wrongWrites(samples: readonly Sample[], stored: Raw['stored']): string[] {
  const puts = samples.filter(({ kind }) => kind === 'put');
  const lost = puts.filter(({ key, ok }) => ok && !stored.has(key)).map(({ key }) => `${key} is not there`);
  const repeated = [...stored]
    .filter(([, { version }]) => version !== 1n)
    .map(([key, { version }]) => `${key} took effect ${version} times`);
  return [...lost, ...repeated];
}

/** How many events a watch should have seen and did not, or should not have seen and did. */
function wrongEvents(events: readonly SeenEvent[], stored: Raw['stored']): number {
  const seen = new Set(events.map(({ key }) => key));
  const lost = [...stored.keys()].filter((key) => !seen.has(key)).length;
  const again = events.length - seen.size;
  const disordered = events.filter(
    ({ revision }, i) => i > 0 && revision < (events[i - 1] as SeenEvent).revision,
  ).length;
  return lost + again + disordered;
}

/** Judges what was seen. */
export function summarize(raw: Raw): Outcome {
  const ofKind = (kind: Sample['kind']): Calls =>
    summarizeCalls(
      raw.samples.filter((sample) => sample.kind === kind),
      raw.since,
    );
  const { lock } = raw;
  return {
    who: raw.who,
    put: ofKind('put'),
    get: ofKind('get'),
    wrongWrites: wrongWrites(raw.samples, raw.stored),
    events: raw.stored.size,
    wrongEvents: raw.watches.reduce((sum, { events }) => sum + wrongEvents(events, raw.stored), 0),
    watchEndings: raw.watches.flatMap(({ endings }) => endings),
    lostLeases: raw.lostLeases,
    lock:
      lock === undefined ? 'still waits' : lock.code === 0 ? 'its turn came' : `${lock.code} ${lock.message}`,
    switches: raw.switches,
  };
}

const seconds = (ms: number | undefined): string =>
  ms === undefined ? 'never' : `${(ms / 1000).toFixed(1)} s`;
const share = ({ answered, begun }: Calls): string =>
  begun === 0 ? '-' : `${((100 * answered) / begun).toFixed(1)} %`;

/** The cells of a table for an outcome. */
export function cells(outcome: Outcome): string[] {
  const { put, get, events, wrongEvents: wrong, lostLeases, lock, switches } = outcome;
  return [
    `${seconds(get.serviceMs)}, ${share(get)}`,
    `${seconds(put.serviceMs)}, ${share(put)}`,
    `${wrong} of ${2 * events}`,
    String(lostLeases.length),
    lock,
    String(switches ?? '-'),
  ];
}
