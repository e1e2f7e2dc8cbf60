/**
 * The program: reads the command line, starts the proxy, and turns signals and failures into exit codes.
 * 0: asked to stop; 1: could not run, or flags that `etcd grpc-proxy` refuses with this code; 2: a command line or environment that does not make sense, or names
 * files of TLS that cannot be used. SIGHUP reads those files again.
 */
import { App } from './app/app.ts';
import { type Command, parseCommandLine } from './config/command-line.ts';
import { given, type Settings } from './config/config.ts';
import { unknownVariables } from './config/spelling.ts';
import { ineffectiveTls } from './config/tls.ts';
import { helpText } from './config/usage.ts';
import { UsageError } from './config/usage-error.ts';
import { openLog, type ProgramLog } from './observe/log.ts';
import { Sink } from './observe/sink.ts';
import { QUIET_MS, Throttles } from './observe/throttle.ts';
import type { Signals } from './signals.ts';
import { TlsFileError } from './tls/files.ts';
import { VERSION } from './version.ts';

/** Milliseconds that calls in progress get to finish after SIGTERM or SIGINT. */
const DRAIN_MS = 10_000;

/** Does what the command line asks for. */
export async function run(signals: Signals): Promise<void> {
  let command: Command;
  try {
    command = parseCommandLine(process.argv.slice(2), process.env);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    refuse(error, new Sink(2));
    return;
  }
  if (command.name === 'help') print(helpText());
  else if (command.name === 'version') print(`etcd-connect-proxy ${VERSION}\n`);
  else await start(command, signals);
}

/** Prints what was asked for; if that does not arrive, the exit code says so. */
function print(text: string): void {
  const output = new Sink(1);
  process.on('exit', () => {
    if (output.lost > 0) process.exitCode = 1;
  });
  output.write(text);
}

/** One line for the user, and the exit code of what cannot be run as it was asked for. */
function refuse(error: UsageError | TlsFileError, output: Sink): void {
  const exitCode = error instanceof UsageError ? error.exitCode : 2;
  output.write(`${exitCode === 2 ? 'etcd-connect-proxy: ' : ''}${error.message}\n`);
  process.exitCode = exitCode;
}

async function start({ config, sources }: Settings, signals: Signals): Promise<void> {
  const log = openLog(config.debug ? 'debug' : config['log-level']);
  const { logger } = log;
  for (const flag of given(sources)) {
    if (flag.pending === 'ignored') logger.warn({ flag: flag.name }, 'flag has no effect yet');
  }
  const variables = unknownVariables(process.env);
  if (variables.length > 0) logger.warn({ variables }, 'environment variables that set no flag');
  for (const ineffective of ineffectiveTls(config)) logger.warn(ineffective, 'flag has no effect');
  surviveFaults(log);
  let app: App | undefined;
  try {
    app = new App(config, log, () => {
      logger.fatal({ error: 'discovery: cluster is full' }, 'could not start');
      process.exit(1);
    });
    await app.start();
  } catch (error) {
    app?.close();
    if (error instanceof TlsFileError) {
      refuse(error, log.sink);
      return;
    }
    logger.fatal({ error: (error as Error).message }, 'could not start');
    process.exitCode = 1;
    return;
  }
  const running = app;
  signals.actOn({
    reload: () => void running.reload(),
    stop: stopper(running, log),
    ignore: (signal) => logger.info({ signal }, 'signal ignored: it has no meaning here'),
  });
}

/**
 * A fault that reaches the top belongs to one event of one connection; ending the process would take every other
 * client's watches with it. It is logged with its stack, as the bug it is. What Node.js warns of goes to the log as
 * well: its own way to print waits for the reader.
 */
function surviveFaults({ logger, faults }: ProgramLog): void {
  process.on('uncaughtException', (error) => faults.report(error));
  process.on('unhandledRejection', (reason) => faults.report(reason));
  const throttles = new Throttles(QUIET_MS);
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message }) =>
    throttles.line(name, (suppressed) =>
      logger.warn({ name, warning: message, suppressed }, 'warning of Node.js'),
    ),
  );
}

/** One Ctrl-C may arrive several times: from the terminal, and from npm or a script around the program. Milliseconds. */
const SAME_SIGNAL_MS = 500;

/** The first signal drains, a later one ends the program at once. */
function stopper(app: App, { logger, faults }: ProgramLog): (signal: NodeJS.Signals) => void {
  let drainingSince: number | undefined;
  return (signal) => {
    const now = performance.now();
    if (drainingSince !== undefined) {
      if (now - drainingSince > SAME_SIGNAL_MS) process.exit(1);
      return;
    }
    drainingSince = now;
    logger.info({ signal }, 'draining');
    app.drain(DRAIN_MS).then(
      () => {
        logger.info('stopped');
        process.exit(0);
      },
      (error: unknown) => {
        faults.report(error);
        process.exit(1);
      },
    );
  };
}
