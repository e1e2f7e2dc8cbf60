/** The command line as a whole: which command, which flags, and what does not go together. */
import { type Config, readSettings, type Settings, type Sources } from './config.ts';
import { checkDiscovery } from './discovery.ts';
import { findFlag } from './flags.ts';
import { checkRegistration } from './registration.ts';
import { nearestFlag } from './spelling.ts';
import { checkTls } from './tls.ts';
import { UsageError } from './usage-error.ts';
import { readUserFile, userFileOf } from './user-file.ts';
import { REPEATABLE } from './values.ts';

/** What the command line asks for. */
export type Command =
  | ({ readonly name: 'start' } & Settings)
  | { readonly name: 'help' }
  | { readonly name: 'version' };

/**
 * Reads a command line (without the program's name): `start [flags]`, `grpc-proxy start [flags]`, `[flags]`, `--help`,
 * `--version`. Flags are written `--name=value`, `--name value`, or with one dash as Go takes them.
 * @throws UsageError with one line that names what is wrong
 */
export function parseCommandLine(args: readonly string[], environment: NodeJS.ProcessEnv): Command {
  if (args.some((arg) => arg === '--help' || arg === '-h' || arg === 'help')) return { name: 'help' };
  if (args[0] === '--version' || args[0] === 'version') return { name: 'version' };
  // etcd's v2 proxy has no commands: its command lines begin with a flag.
  const named = args[0]?.startsWith('-') === true ? ['start', ...args] : args;
  const rest = named[0] === 'grpc-proxy' ? named.slice(1) : named;
  if (rest[0] === undefined) throw new UsageError('missing command: start (see --help)');
  if (rest[0] !== 'start') throw new UsageError(`unknown command ${JSON.stringify(rest[0])} (see --help)`);
  const { config, sources } = readSettings(parseFlags(rest.slice(1)), environment);
  refuseUnreadable(config, sources);
  checkTls(config);
  checkDiscovery(config);
  refuseLeasing(config);
  refuseIdle(config);
  checkRegistration(config);
  const userFile = userFileOf(config);
  if (userFile !== undefined) readUserFile(userFile);
  return { name: 'start', config, sources };
}

/** The incumbent's cache of that name gives outdated answers as soon as anybody writes without it. */
function refuseLeasing(config: Config): void {
  if (config['experimental-leasing-prefix'] === '') return;
  throw new UsageError(
    '--experimental-leasing-prefix is not served, since one writer without it makes reads stale; --cache-prefix=PREFIX keeps keys in memory safely',
  );
}

/** Stops the start where nothing would be isolated although isolation was asked for. */
function refuseIdle(config: Config): void {
  if (config['namespace-isolation'] !== 'strict') return;
  if (config.namespace === '' && config['listen-namespace'].length === 0)
    throw new UsageError('--namespace-isolation=strict needs --namespace or --listen-namespace');
}

function parseFlags(args: readonly string[]): Map<string, string> {
  const flags = new Map<string, string>();
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    const match = /^--?([A-Za-z][\w-]*)(?:=(.*))?$/s.exec(arg);
    if (!match) throw new UsageError(`unexpected argument ${JSON.stringify(arg)} (see --help)`);
    const name = match[1] as string;
    const flag = findFlag(name);
    if (!flag) throw new UsageError(`unknown flag --${name} ${hint(name)}`);
    let value = match[2];
    if (value === undefined) value = flag.type === 'boolean' ? 'true' : args[++i];
    if (value === undefined) throw new UsageError(`flag --${name} needs a value`);
    const before = REPEATABLE.has(flag.type) ? flags.get(name) : undefined;
    flags.set(name, before === undefined ? value : `${before},${value}`);
  }
  return flags;
}

function hint(name: string): string {
  const nearest = nearestFlag(name);
  return nearest === undefined ? '(see --help)' : `(--${nearest} is one; see --help)`;
}

/** Stops the start when replies are taken from etcd that no client could ever read, and both bounds were chosen. */
function refuseUnreadable(config: Config, sources: Sources): void {
  const [queued, received] = ['max-queued-bytes', 'max-recv-bytes'] as const;
  const chosen = sources[queued] !== 'default' && sources[received] !== 'default';
  if (chosen && config[queued] < config[received])
    throw new UsageError(
      `--${queued} must be at least --${received}: clients would be cut off for a larger reply`,
    );
}
