/** A way to break the program: a slip that somebody could make. */
export interface Mutation {
  readonly name: string;
  /** Below `src`. */
  readonly file: string;
  /** The code, which must be there exactly once, and what it becomes. */
  readonly from: string;
  readonly to: string;
}

/** Writes one down. */
export const mutation = (name: string, file: string, from: string, to: string): Mutation => ({
  name,
  file,
  from,
  to,
});
