/**
 * Loaded into our proxy before its own code: at SIGUSR2 it writes a line with the longest time for which its event loop
 * did not turn since the last one, in milliseconds.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 5;

const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();

process.on('SIGUSR2', () => {
  process.stderr.write(`${JSON.stringify({ msg: 'longest pause', ms: delay.max / 1e6 })}\n`);
  delay.reset();
});
