/**
 * Runs a program to its end for the scripts that get etcd: the output comes back as text, a failure is an
 * error whose message is the program's own last words.
 */
import { execFile } from 'node:child_process';

/** How to run a program. */
export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** The program is killed when it takes longer. */
  readonly limitMs: number;
}

/** The program is not installed, or not for this user. */
export class MissingProgram extends Error {}

function lastWords(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const errors = lines.filter((line) => /^(E:|error|go: )/i.test(line));
  return (errors.length > 0 ? errors : lines).slice(-2).join('; ');
}

/** Runs a program and returns what it wrote to its standard output. */
export function run(program: string, args: readonly string[], options: RunOptions): Promise<string> {
  const settings = {
    cwd: options.cwd,
    env: options.env ?? process.env,
    timeout: options.limitMs,
    killSignal: 'SIGKILL' as const,
    maxBuffer: 64 * 1024 * 1024,
  };
  return new Promise((resolve, reject) => {
    execFile(program, args, settings, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else if (error.code === 'ENOENT' || error.code === 'EACCES')
        reject(new MissingProgram(`${program} is not installed`));
      else if (error.killed === true) reject(new Error(`${program} took over ${options.limitMs / 1000} s`));
      else reject(new Error(lastWords(stderr) || lastWords(stdout) || error.message, { cause: error }));
    });
  });
}
