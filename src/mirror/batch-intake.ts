/**
 * What a feed brings, taken into the store of a mirror. Reads find nothing of a batch before all of it is there: they are of the
 * store's `applied`, which moves then.
 */
import type { KeyRange } from '../etcd/key-range.ts';
import type { Store } from '../mvcc/store.ts';
import { readPut } from '../mvcc/version.ts';
import type { Batch, BatchEvent } from '../watch/batch.ts';
import { endOfStep, STEP_VISITS, type Steps } from '../watch/slices.ts';

/** Where it goes. */
export interface Destination {
  readonly store: Pick<Store, 'applied' | 'put' | 'delete'>;
  readonly range: KeyRange;
}

/** Takes all of a batch. */
export function takeBatch(to: Destination, batch: Batch): void {
  take(to, batch, 0, batch.events.length);
}

/** Takes a huge one in slices. @param isWanted whether the store is still the mirror's */
export function* takeInSlices(to: Destination, batch: Batch, isWanted: () => boolean): Steps {
  const { events } = batch;
  for (let from = 0; from < events.length && isWanted(); ) {
    const end = endOfStep(events, from, events.length);
    take(to, batch, from, end);
    from = end;
    yield STEP_VISITS;
  }
}

function take({ store, range }: Destination, { events, bytes }: Batch, from: number, to: number): void {
  for (let at = from; at < to; at++) {
    const event = events[at] as BatchEvent;
    if (event.revision <= store.applied || !range.contains(event.key)) continue;
    if (event.isDelete) store.delete(event.key, event.revision);
    else store.put(readPut(bytes, event.start, event.end));
  }
}
