/**
 * Lines to every kind of stderr: written whole and in order while somebody takes them, lost and counted otherwise,
 * and in no case does the program wait or die.
 */
import assert from 'node:assert/strict';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunningProcess, runProcess, startProcess, tempDir } from '../support/process.ts';
import { until } from '../support/until.ts';
import { installed } from '../tls/support.ts';

const program = join(import.meta.dirname, 'write-lines.ts');

/** More than pipes and the sink hold together. */
const MANY = 40_000;
const LENGTH = 100;

const noPython = !installed('python3') && 'needs Python';

let folder: string;
before(async () => {
  folder = await tempDir('sink');
});

interface Report {
  readonly lost: number;
  readonly longestTurn: number;
}

/** Runs it with stderr as the shell's redirection says. */
async function writeLines(redirection: string, lines = MANY): Promise<RunningProcess> {
  const command = `exec "${process.execPath}" "${program}" ${lines} ${LENGTH} ${redirection}`;
  return startProcess('/bin/sh', ['-c', command]);
}

/** Waits for its end, which must be its own, and returns what it reports. */
async function reportOf(running: RunningProcess): Promise<Report> {
  assert.deepEqual(await running.waitForExit(60_000), { code: 3, signal: null });
  return JSON.parse(running.stdout) as Report;
}

/** The numbers of the lines; each must be whole. */
function numbersIn(text: string): number[] {
  assert.ok(text === '' || text.endsWith('\n'), 'ends with a whole line');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as { readonly line: number }).line);
}

/** Runs the program under Python, with the stderr that the script makes. */
const runPython = (script: string) =>
  runProcess('python3', ['-c', script, process.execPath, program, `${MANY}`], { limitMs: 120_000 });

async function makeFifo(name: string): Promise<string> {
  const path = join(folder, name);
  assert.equal((await runProcess('mkfifo', [path])).code, 0);
  return path;
}

/** Opens a pipe for reading without waiting for its writer. */
const openReader = (path: string): number => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);

/** What is in a pipe, up to 32 KiB. */
function readSome(fd: number): string {
  const buffer = Buffer.alloc(32_768);
  try {
    return buffer.toString('latin1', 0, readSync(fd, buffer));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
    return '';
  }
}

/** What was read of a program, and how long that took from its first line to its last, in milliseconds. */
interface Reading {
  readonly text: string;
  readonly lost: number;
  readonly took: number;
}

/** Reads a pipe at a leisurely pace until its writer has ended and it is empty. */
async function readSlowly(fd: number, ended: () => boolean): Promise<Omit<Reading, 'lost'>> {
  let text = '';
  let first: number | undefined;
  let last = 0;
  for (;;) {
    const over = ended();
    const some = readSome(fd);
    if (over && some === '') return { text, took: last - (first ?? last) };
    if (some !== '') last = performance.now();
    if (some !== '') first ??= last;
    text += some;
    await sleep(5);
  }
}

/**
 * The program waits a second for its reader at its end. A busy machine may keep either of them from a core for as long as that:
 * then missing lines say nothing, and it is tried again.
 */
async function inTime(lines: number, read: () => Promise<Reading>): Promise<Reading> {
  for (let tries = 1; ; tries++) {
    const reading = await read();
    const isWhole = reading.text.split('\n').length === lines + 1;
    if (isWhole || reading.took < 700 || tries === 10) return reading;
  }
}

const inOrder = (numbers: readonly number[]): boolean =>
  numbers.every((number, index) => index === 0 || number > (numbers[index - 1] as number));

describe('every line arrives', () => {
  // Few enough to wait for their reader.
  const lines = 6000;

  test('in a file', async () => {
    const path = join(folder, 'file');
    const { lost } = await reportOf(await writeLines(`2>"${path}"`, lines));
    const numbers = numbersIn(await readFile(path, 'utf8'));
    assert.deepEqual([lost, numbers.length, inOrder(numbers)], [0, lines, true]);
  });

  test('in a socket', async () => {
    const { lost, text } = await inTime(lines, async () => {
      const running = await writeLines('', lines);
      await running.waitForLine(/"line":0\b/, 60_000);
      const began = performance.now();
      const { lost } = await reportOf(running);
      return { lost, text: running.stderr, took: performance.now() - began };
    });
    const numbers = numbersIn(text);
    assert.deepEqual([lost, numbers.length, inOrder(numbers)], [0, lines, true]);
  });

  test('in a pipe with a slow reader, though the program ends at once', async () => {
    const path = await makeFifo('slow');
    const { lost, text } = await inTime(lines, async () => {
      const reader = openReader(path);
      const running = await writeLines(`2>"${path}"`, lines);
      const reading = await readSlowly(reader, () => running.exit !== undefined);
      closeSync(reader);
      return { ...reading, lost: (await reportOf(running)).lost };
    });
    const numbers = numbersIn(text);
    assert.deepEqual([lost, numbers.length, inOrder(numbers)], [0, lines, true]);
  });
});

describe('nobody takes the lines', () => {
  /** The program did its other work in the meantime; no single turn of its loop waited for a reader. */
  async function unharmed(running: RunningProcess, least: number): Promise<void> {
    const { lost, longestTurn } = await reportOf(running);
    assert.ok(lost >= least && lost <= MANY, `${lost} lost`);
    assert.ok(longestTurn < 5000, `a turn took ${longestTurn} ms`);
  }

  test('a pipe that is not read', async () => {
    const path = await makeFifo('stuck');
    const reader = openReader(path);
    await unharmed(await writeLines(`2>"${path}"`), MANY / 2);
    const kept = Buffer.alloc(1 << 20);
    const text = kept.toString('latin1', 0, readSync(reader, kept));
    closeSync(reader);
    assert.equal(numbersIn(text.slice(0, text.lastIndexOf('\n') + 1))[0], 0, 'the oldest lines are kept');
  });

  test('a socket that is not read', { skip: noPython }, async () => {
    const python = await runPython(SOCKET);
    assert.equal(python.code, 3, python.stderr);
    const { lost } = JSON.parse(python.stdout) as Report;
    assert.ok(lost >= MANY / 2, `${lost} lost`);
  });

  test('a terminal that is stopped', { skip: noPython }, async () => {
    const python = await runPython(TERMINAL);
    assert.equal(python.code, 3, python.stderr);
    const { lost } = JSON.parse(python.stdout) as Report;
    assert.ok(lost >= MANY / 2, `${lost} lost`);
  });

  test('a terminal that is gone', { skip: noPython }, async () => {
    const python = await runPython(GONE);
    assert.equal(python.code, 3, python.stderr);
    const { lost } = JSON.parse(python.stdout) as Report;
    assert.ok(lost >= MANY / 2, `${lost} lost`);
  });

  test('a pipe whose reader is gone', async () => {
    const path = await makeFifo('gone');
    const reader = openReader(path);
    const running = await writeLines(`2>"${path}"`);
    await until('a line', () => readSome(reader) !== '');
    closeSync(reader);
    await unharmed(running, MANY / 2);
  });

  test('a disk that is full', async () => {
    await unharmed(await writeLines('2>/dev/full'), MANY / 2);
  });

  test('a descriptor that is open for reading only', async () => {
    await unharmed(await writeLines('2</dev/null'), MANY / 2);
  });

  test('a closed descriptor', async () => {
    // Node.js puts /dev/null in its place.
    await unharmed(await writeLines('2>&-'), 0);
  });
});

/** A socket, and a terminal, that nobody reads: the other end is open as long as the program runs. */
const SOCKET = `
import socket, subprocess, sys
ours, theirs = socket.socketpair()
sys.exit(subprocess.run([sys.argv[1], sys.argv[2], sys.argv[3], '100'], stderr=theirs, timeout=100).returncode)`;
const TERMINAL = `
import pty, subprocess, sys
ours, theirs = pty.openpty()
sys.exit(subprocess.run([sys.argv[1], sys.argv[2], sys.argv[3], '100'], stderr=theirs, timeout=100).returncode)`;
const GONE = `
import os, pty, subprocess, sys
ours, theirs = pty.openpty()
program = subprocess.Popen([sys.argv[1], sys.argv[2], sys.argv[3], '100'], stderr=theirs)
os.close(theirs)
os.read(ours, 1)
os.close(ours)
sys.exit(program.wait(100))`;
