/** One test file, run in a process of its own. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { cpuSeconds, measuring } from './cpu-time.ts';
import { tellTestsByContext } from './test-context.ts';

/** So long may a file take: one whose tests are over may still have something open. A test has half of it, so that it is named. */
const LIMIT_MS = process.env.LONG === '1' ? 3_600_000 : 600_000;

const COMPILE_CACHE = resolve('.artifacts/compile-cache');

const FIRST = resolve('.artifacts/first');

/**
 * What the process of a file runs first, in JavaScript: a file in TypeScript would load the compiler before, and a variable
 * would reach every program that a test starts. What Node.js makes of the sources is kept for the files that come after:
 * they load mostly the same.
 */
function firstOf(file: string): string {
  const program = `
    process.getBuiltinModule('node:module').enableCompileCache(${JSON.stringify(COMPILE_CACHE)});
    (${tellTestsByContext})();
    ${measuring(file)}`;
  const path = join(FIRST, `${file.replaceAll('/', '+')}.mjs`);
  mkdirSync(FIRST, { recursive: true });
  writeFileSync(path, program);
  return `--import=${pathToFileURL(path)}`;
}

/** How much is shown of an error, or of what a file printed that failed outside of its tests; the log has all. */
const SHOWN = 4000;

const shown = (text: string): string =>
  text.length <= SHOWN ? text : `${text.slice(0, SHOWN / 2)}\n...\n${text.slice(-SHOWN / 2)}`;

/** A test that did not run, and the reason that it gives. */
export interface Skipped {
  readonly file: string;
  readonly why: string;
}

/** A failure of a part makes what it is part of fail too; that says nothing new. */
const OF_PARTS = 'subtestsFailed';

export class FileRun {
  readonly file: string;
  ms = 0;
  /** CPU time of its process and of all that it started; undefined where that is not known. */
  cpuSeconds: number | undefined;
  passed = 0;
  /** Each with its name, place and error. */
  readonly failures: string[] = [];
  readonly skipped: Skipped[] = [];
  /** All that the tests reported and printed. */
  text = '';

  /** Whether it failed by itself, outside of its tests. */
  #broke = false;

  private constructor(file: string) {
    this.file = file;
  }

  /** Runs a file to its end. */
  static async of(file: string): Promise<FileRun> {
    const result = new FileRun(file);
    await result.#run();
    return result;
  }

  async #run(): Promise<void> {
    const began = performance.now();
    const signal = AbortSignal.timeout(LIMIT_MS);
    const events = run({
      files: [this.file],
      isolation: 'process',
      execArgv: [`--test-timeout=${LIMIT_MS / 2}`, firstOf(this.file)],
      concurrency: 1,
      timeout: LIMIT_MS,
      signal,
    });
    events.on('test:pass', ({ name, skip, details }) => {
      if (skip !== undefined && skip !== false) this.#skipped(name, skip);
      else if (name === this.file) this.failures.push(`✖ ${name}: no test in it`);
      else if (details.type !== 'suite') this.passed++;
    });
    events.on('test:fail', ({ name, line, details, todo }) => {
      const { error } = details;
      if (name === this.file) this.#broke = true;
      else if (todo === undefined && !('failureType' in error && error.failureType === OF_PARTS))
        this.failures.push(`✖ ${this.file}:${line} ${name}\n${shown(inspect(error.cause ?? error))}`);
    });
    for await (const text of events.compose(new spec())) this.text += String(text);
    if (this.#broke) this.failures.push(`✖ ${this.file} broke down\n${shown(this.text)}`);
    this.ms = performance.now() - began;
    this.cpuSeconds = cpuSeconds(this.file);
  }

  #skipped(name: string, why: string | true): void {
    this.skipped.push({ file: this.file, why: why === true ? name : why });
  }
}
