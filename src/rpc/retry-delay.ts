/** Delays between attempts to open a watch again: short at first, growing, jittered so that feeds do not return in step. */
import { Backoff } from './backoff.ts';

const FIRST_MS = 20;
const LAST_MS = 3000;

export class RetryDelay extends Backoff {
  constructor() {
    super(FIRST_MS, LAST_MS, { factor: 1.7, jitter: 0.5 });
  }
}
