/**
 * Loaded into a program before its own code (`pressure.ts`): at SIGUSR2 it writes a line with what it has borne since the
 * last one: its longest turn, in time and in CPU of its own thread, and the most memory that it had.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 5;

const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();
let turn = 0;
let memory = 0;
let before = process.threadCpuUsage();

/** Between two looks lies one turn at least; where it was long, nothing else. */
function look(): void {
  const now = process.threadCpuUsage();
  turn = Math.max(turn, now.user - before.user + (now.system - before.system));
  before = now;
  const { heapUsed, external } = process.memoryUsage();
  memory = Math.max(memory, heapUsed + external);
}

setInterval(look, RESOLUTION_MS).unref();

process.on('SIGUSR2', () => {
  look();
  const report = { msg: 'pressure', turnMs: turn / 1e3, pauseMs: delay.max / 1e6, bytes: memory };
  process.stderr.write(`${JSON.stringify(report)}\n`);
  turn = 0;
  memory = 0;
  delay.reset();
});
