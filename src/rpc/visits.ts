/** The measure of long work: a visit is one key or one event that is looked at. */

/** Copying so many bytes takes about as long as a visit. */
export const BYTES_PER_VISIT = 512;
