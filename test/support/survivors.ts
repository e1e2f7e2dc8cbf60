/** What survives of values that come and go, a few at a time. */
import { getHeapSpaceStatistics } from 'node:v8';
import { collectGarbage } from './garbage.ts';

/** A value of a hundred bytes. */
export class Value {
  readonly id: number;
  readonly weight = new Array<number>(10).fill(1);

  constructor(id: number) {
    this.id = id;
  }
}

const oldBytes = (): number =>
  getHeapSpaceStatistics().find(({ space_name: name }) => name === 'old_space')?.space_used_size ?? 0;

/** By how many bytes the old generation has grown when 200 000 values have come and gone, sixteen at a time. */
export function survivors(add: (value: Value) => void, remove: (id: number) => void): number {
  add(new Value(0));
  for (let i = 0; i < 3; i++) collectGarbage();
  const before = oldBytes();
  for (let id = 1; id < 200_000; id++) {
    add(new Value(id));
    if (id > 16) remove(id - 16);
  }
  return oldBytes() - before;
}

/** The same of a Map: some 16 MiB. */
export function survivorsInMap(): number {
  const map = new Map<number, Value>();
  return survivors(
    (value) => map.set(value.id, value),
    (id) => map.delete(id),
  );
}
