/**
 * The log: JSON lines on stderr with the keys of etcd's own (`level`, `ts`, `msg`), so that the same tools read
 * both. No line ever holds a key, a value, a password or a token: callers log names, addresses and counts only.
 */
import { type Logger, pino } from 'pino';
import type { LogLevel } from '../config/values.ts';
import type { Client } from '../rpc/client.ts';
import { Faults } from './faults.ts';
import { Sink } from './sink.ts';

export type { Logger };

/** Takes the lines of a logger. */
export interface LineWriter {
  write(line: string): void;
}

/** The program's log. A line that cannot be written never affects its writer. */
export interface ProgramLog {
  readonly logger: Logger;
  readonly faults: Faults;
  readonly sink: Sink;
}

/** How a line names a client. */
export function clientFields({ address, listener, namespace, certificate }: Client) {
  return { client: address, listener, namespace: namespace === '' ? undefined : namespace, certificate };
}

/** The log on stderr. */
export function openLog(level: LogLevel): ProgramLog {
  const sink = new Sink(2);
  const logger = createLogger(level, sink);
  sink.onRecovery = (lines) => logger.warn({ lines }, 'lines of this log were lost');
  return { logger, faults: new Faults(logger), sink };
}

/** A logger. */
export function createLogger(level: LogLevel, writer: LineWriter): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: () => `,"ts":"${new Date().toISOString().replace('Z', '000Z')}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    writer,
  );
}
