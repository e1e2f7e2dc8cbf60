/** Clients that make a proxy keep memory for requests: many that are begun, large ones, and large metadata. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Hoarder } from '../../test/streams/hoarder.ts';
import { MIB, PUT, putOf } from '../../test/streams/memory-scene.ts';

/** How long each keeps what it has begun, in milliseconds. */
const HOLD_MS = 5000;

/** What one connection begins. */
export interface Hoard {
  readonly name: string;
  readonly count: number;
  readonly message: Uint8Array;
  /** Whether each request ends with its message. */
  readonly end: boolean;
  /** Bytes of one metadata field. */
  readonly fieldBytes?: number;
}

const large = putOf(16 * MIB);
const small = putOf(10);

/** Every one of them. */
export const HOARDS: readonly Hoard[] = [
  { name: 'streams that each begin a large message', count: 200, message: large, end: false },
  { name: 'large metadata', count: 20, message: small, end: true, fieldBytes: 900_000 },
  { name: 'metadata above the limit', count: 5, message: small, end: true, fieldBytes: 1_200_000 },
];

/** Begins the requests on one connection, waits, and leaves. @returns how many there were */
export async function hoard(address: string, { count, message, end, fieldBytes }: Hoard): Promise<number> {
  using hoarder = await Hoarder.open(address);
  const fields = fieldBytes === undefined ? [] : ['x-large', 'm'.repeat(fieldBytes)];
  for (let i = 0; i < count; i++) hoarder.begin(PUT, [message], end, fields);
  await sleep(HOLD_MS);
  return count;
}

/** Goes on until the process ends, on so many connections. `cut` is told of every one that could not be opened. */
export function hoardForever(one: Hoard, address: string, connections: number, cut: () => void): void {
  const goOn = async (): Promise<void> => {
    for (;;) await hoard(address, one).catch(cut);
  };
  for (let i = 0; i < connections; i++) void goOn();
}
