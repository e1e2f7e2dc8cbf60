/**
 * The configuration: every flag's value from the command line, else the environment, else the default.
 */
import { isDeepStrictEqual } from 'node:util';
import { environmentName, FLAGS, type Flag, type FlagName, findFlag, type Rows } from './flags.ts';
import { withinLimits } from './limits.ts';
import { UsageError } from './usage-error.ts';
import { PARSERS, ValueError, type Values, type ValueType } from './values.ts';

/** Under which a configuration keeps where its values came from. */
const SOURCES = Symbol('sources');

/** The values of all flags by name, each of the type that its row in the table says. */
export type Config = { readonly [Name in FlagName]: Values[Rows[Name]['type']] } & {
  readonly [SOURCES]: Sources;
};

/** The names of the flags of a type. */
export type FlagOf<T extends ValueType> = {
  [Name in FlagName]: Rows[Name]['type'] extends T ? Name : never;
}[FlagName];

/** Where a value came from. */
export type ValueSource = 'flag' | 'environment' | 'default';

/** Where the value of each flag came from. */
export type Sources = Readonly<Record<FlagName, ValueSource>>;

/** The values of all flags, and where they came from. */
export interface Settings {
  readonly config: Config;
  readonly sources: Sources;
}

/**
 * Reads what was set.
 * @param flags the texts on the command line, by name
 * @throws UsageError on a value that its flag does not take, from the command line or the environment
 */
export function readSettings(flags: ReadonlyMap<string, string>, environment: NodeJS.ProcessEnv): Settings {
  const sources: Record<string, ValueSource> = {};
  const values: Record<string | symbol, unknown> = { [SOURCES]: sources };
  for (const flag of FLAGS) {
    const { value, source } = read(flag, flags, environment);
    values[flag.name] = value;
    sources[flag.name] = source;
  }
  // Each flag has its value by now, made by the parser of the type that its row says.
  return { config: values as unknown as Config, sources: sources as Sources };
}

/** Whether the user has set a flag, be it to the value that it would have anyway. */
export function isGiven(config: Config, name: FlagName): boolean {
  return config[SOURCES][name] !== 'default';
}

/** Whether a flag has the value it would have anyway. */
export function isDefault(config: Config, name: FlagName): boolean {
  const flag = findFlag(name);
  return flag !== undefined && isDeepStrictEqual(config[name], parse(flag, flag.default));
}

/** The flags that were set by the user, in the order of the table. */
export function given(sources: Sources): readonly Flag[] {
  return FLAGS.filter(({ name }) => sources[name] !== 'default');
}

function read(flag: Flag, flags: ReadonlyMap<string, string>, environment: NodeJS.ProcessEnv) {
  const onCommandLine = flags.get(flag.name);
  const fromEnvironment = environment[environmentName(flag.name)];
  const source: ValueSource =
    onCommandLine !== undefined ? 'flag' : fromEnvironment !== undefined ? 'environment' : 'default';
  const text = onCommandLine ?? fromEnvironment ?? flag.default;
  try {
    return { value: parse(flag, text), source };
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    const name = source === 'environment' ? environmentName(flag.name) : `--${flag.name}`;
    throw new UsageError(`invalid value ${JSON.stringify(shown(text))} for ${name}: ${error.message}`);
  }
}

/** A value as an error shows it: what is before an `@` may be the password of a URL. */
function shown(text: string): string {
  return text.replace(/^.*@/s, '...@');
}

function parse({ type, default: otherwise, limits }: Flag, text: string): unknown {
  const value = PARSERS[type](text);
  if (limits === undefined) return value;
  return withinLimits(limits, type, value as number, () => PARSERS[type](otherwise) as number);
}
