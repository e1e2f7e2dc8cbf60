/**
 * The configuration: every flag's value from the command line, else the environment, else the default.
 */
import { isDeepStrictEqual } from 'node:util';
import { environmentName, FLAGS, type Flag } from './flags.ts';
import { NUMBERS, withinLimits } from './limits.ts';
import { checkTls } from './tls.ts';
import { UsageError } from './usage-error.ts';
import { readUserFile } from './user-file.ts';
import { PARSERS, REPEATABLE, ValueError, type Values } from './values.ts';

export { UsageError };

/** Where a value came from. */
export type Source = 'flag' | 'environment' | 'default';

/** What the command line asks for. */
export type Command =
  | { readonly name: 'start'; readonly config: Config }
  | { readonly name: 'help' }
  | { readonly name: 'version' };

/** The values of all flags. */
export class Config {
  readonly #values = new Map<string, { value: unknown; source: Source }>();

  /** @throws UsageError on a value that its flag does not take, from the command line or the environment */
  constructor(flags: ReadonlyMap<string, string>, environment: NodeJS.ProcessEnv) {
    for (const flag of FLAGS) this.#values.set(flag.name, read(flag, flags, environment));
  }

  /** The value of a flag, which is of the type that the table says. */
  get<T extends keyof Values>(type: T, name: string): Values[T] {
    const flag = FLAGS.find((candidate) => candidate.name === name);
    if (flag?.type !== type) throw new Error(`no flag --${name} of type ${type}`);
    return this.#values.get(name)?.value as Values[T];
  }

  /** Where the value of a flag came from. */
  source(name: string): Source {
    return this.#values.get(name)?.source ?? 'default';
  }

  /** Whether a flag has the value it would have anyway. */
  isDefault(flag: Flag): boolean {
    return isDeepStrictEqual(this.#values.get(flag.name)?.value, parse(flag, flag.default));
  }

  /** The flags that were set by the user, in the order of the table. */
  given(): readonly Flag[] {
    return FLAGS.filter((flag) => this.source(flag.name) !== 'default');
  }
}

function read(flag: Flag, flags: ReadonlyMap<string, string>, environment: NodeJS.ProcessEnv) {
  const given = flags.get(flag.name);
  const fromEnvironment = environment[environmentName(flag.name)];
  const source: Source =
    given !== undefined ? 'flag' : fromEnvironment !== undefined ? 'environment' : 'default';
  const text = given ?? fromEnvironment ?? flag.default;
  try {
    return { value: parse(flag, text), source };
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    const name = source === 'environment' ? environmentName(flag.name) : `--${flag.name}`;
    throw new UsageError(`invalid value ${JSON.stringify(text)} for ${name}: ${error.message}`);
  }
}

function parse(flag: Flag, text: string): unknown {
  const value = PARSERS[flag.type](text);
  if (!NUMBERS.has(flag.type)) return value;
  return withinLimits(
    flag.name,
    flag.type,
    value as number,
    () => PARSERS[flag.type](flag.default) as number,
  );
}

/**
 * Reads a command line (without the program's name): `start [flags]`, `grpc-proxy start [flags]`, `--help`,
 * `--version`. Flags are written `--name=value`, `--name value`, or with one dash as Go takes them.
 * @throws UsageError with one line that names what is wrong
 */
export function parseCommandLine(args: readonly string[], environment: NodeJS.ProcessEnv): Command {
  if (args.some((arg) => arg === '--help' || arg === '-h' || arg === 'help')) return { name: 'help' };
  if (args[0] === '--version' || args[0] === 'version') return { name: 'version' };
  const rest = args[0] === 'grpc-proxy' ? args.slice(1) : args;
  if (rest[0] === undefined) throw new UsageError('missing command: start (see --help)');
  if (rest[0] !== 'start') throw new UsageError(`unknown command ${JSON.stringify(rest[0])} (see --help)`);
  const config = new Config(parseFlags(rest.slice(1)), environment);
  refuseUnsafe(config);
  refuseUnreadable(config);
  checkTls(config);
  const userFile = config.get('string', 'cache-prefix-user-file');
  if (userFile !== '') readUserFile(userFile);
  return { name: 'start', config };
}

function parseFlags(args: readonly string[]): Map<string, string> {
  const flags = new Map<string, string>();
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    const match = /^--?([A-Za-z][\w-]*)(?:=(.*))?$/s.exec(arg);
    if (!match) throw new UsageError(`unexpected argument ${JSON.stringify(arg)} (see --help)`);
    const name = match[1] as string;
    const flag = FLAGS.find((candidate) => candidate.name === name);
    if (!flag) throw new UsageError(`unknown flag --${name} (see --help)`);
    let value = match[2];
    if (value === undefined) value = flag.type === 'boolean' ? 'true' : args[++i];
    if (value === undefined) throw new UsageError(`flag --${name} needs a value`);
    const before = REPEATABLE.has(flag.type) ? flags.get(name) : undefined;
    flags.set(name, before === undefined ? value : `${before},${value}`);
  }
  return flags;
}

/** Stops the start when replies are taken from etcd that no client could ever read, and both bounds were chosen. */
function refuseUnreadable(config: Config): void {
  const [queued, received] = ['max-queued-bytes', 'max-recv-bytes'] as const;
  const chosen = config.source(queued) !== 'default' && config.source(received) !== 'default';
  if (chosen && config.get('bytes', queued) < config.get('bytes', received))
    throw new UsageError(
      `--${queued} must be at least --${received}: clients would be cut off for a larger reply`,
    );
}

/** Stops the start when a flag asks for protection that does not exist yet. */
function refuseUnsafe(config: Config): void {
  for (const flag of config.given()) {
    if (flag.pending !== 'refused' || config.isDefault(flag)) continue;
    throw new UsageError(`--${flag.name} is not supported yet, and running without it would not be safe`);
  }
}
