/** A case of load, and what of it may be blamed on the proxy. */
import { LONG } from '../../support/releases.ts';
import type { Cost, Stage } from './stage.ts';

/** At most so many times what it is directly, and so much more. */
export interface Bound {
  readonly times: number;
  readonly plus: number;
}

/** One thing that clients do. */
export interface LoadCase {
  readonly name: string;
  /** Done before, past the proxy, and not counted. */
  readonly prepare?: (stage: Stage) => Promise<void>;
  /** Does it by clients of the stage, and says by `hold` when all that it needs is open. */
  readonly run: (stage: Stage) => Promise<void>;
  readonly bounds: Readonly<Record<keyof Cost, Bound>>;
}

export const KIB = 1024;
export const MIB = 1 << 20;
export const most = (times: number, plus: number): Bound => ({ times, plus });

/** Streams that an identity has besides: one for catch-ups, for previous values, for the leader, for what moves. */
export const FEW = 5;
/** Feeds that share a stream. */
export const FEEDS_A_STREAM = 1000;
/** What a test may blame on the machine, on top of any ratio: seconds of CPU, and bytes of memory. */
export const CPU = LONG ? 2 : 0.6;
const MEMORY = 1.5 * MIB;
/** Questions of the proxy's own, such as for a revision, and the bytes of their answers. */
export const CALLS = 100;
export const BYTES = 64 * KIB;

/** What is as good as direct: as many watches, on a few streams. */
export const AS_DIRECT: LoadCase['bounds'] = {
  cpu: most(1.5, CPU),
  memory: most(1.3, MEMORY),
  streams: most(0, FEW),
  watchers: most(1, FEW),
  calls: most(1, CALLS),
  sent: most(1.2, BYTES),
  received: most(1.5, BYTES),
};

/** What the proxy does for many at once: a few watches and a small part of the bytes. */
export const SHARED: LoadCase['bounds'] = {
  ...AS_DIRECT,
  cpu: most(0.75, CPU),
  memory: most(0.5, MEMORY),
  watchers: most(0, FEW),
  sent: most(0.1, BYTES),
  received: most(0.5, BYTES),
};
