/** What the releases of etcd do differently, and how a member tells its release. */
import { Scanner } from './scanner.ts';

/** `StatusResponse.version`. */
const VERSION_TAG = 0x12;

/** The version in an encoded `StatusResponse`; empty where there is none. */
export function versionIn(status: Uint8Array): string {
  const scan = new Scanner(status);
  while (!scan.done) {
    const tag = scan.varint();
    if (tag === VERSION_TAG) {
      const end = scan.delimited();
      return scan.bytes.toString('latin1', scan.pos, end);
    }
    scan.skip(tag & 7);
  }
  return '';
}

/**
 * Whether this release sends progress responses in order and whenever a watch is synced. Before 3.4.31 and 3.5.13 one could
 * overtake events, or not come at all (etcd issues 15220 and 17507).
 */
export function progressIsSafe(version: string): boolean {
  const match = /^(\d+)\.(\d+)\.(\d+)/.exec(version);
  if (match === null) return false;
  const [major, minor, patch] = match.slice(1).map(Number) as [number, number, number];
  if (major !== 3) return major > 3;
  if (minor === 4) return patch >= 31;
  if (minor === 5) return patch >= 13;
  return minor > 5;
}
