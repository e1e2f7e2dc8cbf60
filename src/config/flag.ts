/** What a flag is, for the tables of them. */
import type { ValueType } from './values.ts';

/** A setting of the program. */
export interface Flag {
  /** Kebab-case, without dashes in front. */
  readonly name: string;
  readonly type: ValueType;
  /** The default as one would write it on the command line. */
  readonly default: string;
  readonly group: Group;
  readonly help: string;
  /**
   * Set while the feature is missing: `ignored` flags are accepted with one log line that says so; `refused`
   * ones stop the start, since running without them would be unsafe.
   */
  readonly pending?: 'ignored' | 'refused';
}

/** Headings of `--help`, in its order. */
export const GROUPS = [
  'Serving',
  'Upstream',
  'Reads',
  'Limits',
  'TLS',
  'Cluster',
  'Observability',
  'Experimental',
] as const;
export type Group = (typeof GROUPS)[number];

/** Makes a flag. */
export const flag = (
  group: Group,
  name: string,
  type: ValueType,
  def: string,
  help: string,
  pending?: 'ignored' | 'refused',
): Flag =>
  pending === undefined
    ? { name, type, default: def, group, help }
    : { name, type, default: def, group, help, pending };
