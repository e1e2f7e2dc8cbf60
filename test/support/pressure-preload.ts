/**
 * Loaded into a program before its own code (`pressure.ts`): at SIGUSR2 it writes a line with what it has borne since the
 * last one: its longest turn, in time and in CPU of its own thread, with the collections of garbage in it and without, and the
 * most memory that it had.
 */
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';

const RESOLUTION_MS = 5;
/** Turns that are shorter than this are not looked at again, for what of them was garbage. */
const LONG_MS = 20;

/** Between two looks: milliseconds of CPU, and from when to when. */
interface Turn {
  readonly cpu: number;
  readonly from: number;
  readonly to: number;
}

const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();
let turn = 0;
let long: Turn[] = [];
let collections: PerformanceEntry[] = [];
let memory = 0;
let before = process.threadCpuUsage();
let at = performance.now();

const collected = new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (entry.duration >= 1) collections.push(entry);
});
collected.observe({ entryTypes: ['gc'] });

/** Between two looks lies one turn at least; where it was long, nothing else. */
function look(): void {
  const now = process.threadCpuUsage();
  const cpu = (now.user - before.user + (now.system - before.system)) / 1e3;
  const to = performance.now();
  turn = Math.max(turn, cpu);
  if (cpu >= LONG_MS) long.push({ cpu, from: at, to });
  before = now;
  at = to;
  const { heapUsed, external } = process.memoryUsage();
  memory = Math.max(memory, heapUsed + external);
}

/** What of a turn was no collection of garbage. */
function workOf({ cpu, from, to }: Turn): number {
  let garbage = 0;
  for (const { startTime, duration } of collections)
    if (startTime >= from && startTime < to) garbage += duration;
  return Math.max(0, cpu - garbage);
}

setInterval(look, RESOLUTION_MS).unref();

function report(): void {
  const workMs = Math.max(Math.min(turn, LONG_MS), ...long.map(workOf));
  const line = { msg: 'pressure', turnMs: turn, workMs, pauseMs: delay.max / 1e6, bytes: memory };
  process.stderr.write(`${JSON.stringify(line)}\n`);
  turn = 0;
  long = [];
  collections = [];
  memory = 0;
  delay.reset();
}

process.on('SIGUSR2', () => {
  look();
  // What was collected last is told of in another turn.
  setTimeout(report, 2 * RESOLUTION_MS);
});
