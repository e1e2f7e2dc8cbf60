/**
 * The program: reads the command line, starts the proxy, and turns signals and failures into exit codes.
 * 0: asked to stop; 1: could not run; 2: a command line or environment that does not make sense, or names
 * files of TLS that cannot be used. SIGHUP reads those files again.
 */
import { App } from './app.ts';
import { type Command, type Config, parseCommandLine, UsageError } from './config/config.ts';
import { helpText } from './config/usage.ts';
import { createLogger, type Logger, logFault } from './observe/log.ts';
import { TlsFileError } from './tls/files.ts';
import { VERSION } from './version.ts';

/** Milliseconds that calls in progress get to finish after SIGTERM or SIGINT. */
const DRAIN_MS = 10_000;

async function main(): Promise<void> {
  let command: Command;
  try {
    command = parseCommandLine(process.argv.slice(2), process.env);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    refuse(error);
    return;
  }
  if (command.name === 'help') process.stdout.write(helpText());
  else if (command.name === 'version') process.stdout.write(`etcd-connect-proxy ${VERSION}\n`);
  else await start(command.config);
}

/** One line for the user, and the exit code of what cannot be run as it was asked for. */
function refuse(error: Error): void {
  process.stderr.write(`etcd-connect-proxy: ${error.message}\n`);
  process.exitCode = 2;
}

async function start(config: Config): Promise<void> {
  const log = createLogger(config.get('boolean', 'debug') ? 'debug' : config.get('level', 'log-level'));
  for (const flag of config.given()) {
    if (flag.pending === 'ignored') log.warn({ flag: flag.name }, 'flag has no effect yet');
  }
  surviveFaults(log);
  const app = new App(config, log);
  try {
    await app.start();
  } catch (error) {
    app.close();
    if (error instanceof TlsFileError) {
      refuse(error);
      return;
    }
    log.fatal({ error: (error as Error).message }, 'could not start');
    process.exitCode = 1;
    return;
  }
  process.on('SIGHUP', () => void app.reload());
  stopOnSignals(app, log);
}

/**
 * A fault that reaches the top belongs to one event of one connection; ending the process would take every other
 * client's watches with it. It is logged with its stack, as the bug it is.
 */
function surviveFaults(log: Logger): void {
  process.on('uncaughtException', (error) => logFault(log, error));
  process.on('unhandledRejection', (reason) => logFault(log, reason));
}

/** One Ctrl-C may arrive several times: from the terminal, and from npm or a script around the program. Milliseconds. */
const SAME_SIGNAL_MS = 500;

/** The first signal drains, a later one ends the program at once. */
function stopOnSignals(app: App, log: Logger): void {
  let drainingSince: number | undefined;
  const stop = (signal: NodeJS.Signals): void => {
    const now = performance.now();
    if (drainingSince !== undefined) {
      if (now - drainingSince > SAME_SIGNAL_MS) process.exit(1);
      return;
    }
    drainingSince = now;
    log.info({ signal }, 'draining');
    app.drain(DRAIN_MS).then(
      () => {
        log.info('stopped');
        process.exit(0);
      },
      (error: unknown) => {
        logFault(log, error);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

await main();
