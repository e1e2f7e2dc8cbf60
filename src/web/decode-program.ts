/**
 * What the thread of `MessageDecoder` runs. The build puts the whole of `decode-worker.ts` in place of this file, as a text:
 * a thread begins when a large request comes, and the files of the program may be others by then.
 */

/** A script. */
export const DECODE_PROGRAM = `import(${JSON.stringify(import.meta.resolve('./decode-worker.ts'))})`;
