/**
 * The log: JSON lines on stderr with the keys of etcd's own (`level`, `ts`, `msg`), so that the same tools read
 * both. No line ever holds a key, a value, a password or a token: callers log names, addresses and counts only.
 */
import { type Logger, pino } from 'pino';
import type { LogLevel } from '../config/values.ts';

export type { Logger };

/** A logger that writes to stderr, synchronously: the last line before an exit is never lost. */
export function createLogger(level: LogLevel): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: () => `,"ts":"${new Date().toISOString().replace('Z', '000Z')}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}

/** Logs a fault of the program, with its stack: the one kind of line that is always a bug to be fixed. */
export function logFault(log: Logger, error: unknown): void {
  log.error({ error: error instanceof Error ? error.stack : String(error) }, 'fault while serving');
}
