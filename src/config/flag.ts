/** What a row in the table of flags says. */
import type { Limits } from './limits.ts';
import type { NumberType, ValueType } from './values.ts';

/** A setting of the program, but for its name and its group, which its place in the table says. */
export interface Row<T extends ValueType = ValueType> {
  readonly type: T;
  /** The default as one would write it on the command line. */
  readonly default: string;
  readonly help: string;
  /** Which values make sense; every flag that is a number says it. */
  readonly limits?: Limits;
  /** Set while the feature is missing: the flag is accepted with one log line that says so. */
  readonly pending?: Pending;
}
/** What becomes of a flag whose feature is missing. */
export type Pending = 'ignored';

/** A flag that is no number. */
export function flag<T extends Exclude<ValueType, NumberType>>(
  type: T,
  otherwise: string,
  help: string,
  pending?: Pending,
): Row<T> {
  return { type, default: otherwise, help, ...(pending && { pending }) };
}

/** A flag that is a number. */
export function number<T extends NumberType>(
  type: T,
  otherwise: string,
  limits: Limits,
  help: string,
  pending?: Pending,
): Row<T> {
  return { type, default: otherwise, help, limits, ...(pending && { pending }) };
}
