/** Collections of garbage on demand, to see what is held and what is not. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');

/**
 * Collects this process's garbage at once. Buffers that were garbage are given back by another thread some time later, so
 * what is in use then has to be waited for: ask with `until`, with a collection each time.
 */
export const collectGarbage = runInNewContext('gc') as () => void;
