/**
 * Loaded into our proxy before its own code: at SIGUSR2 it writes a line with the CPU time of the longest turn of the event
 * loop since the last one, in milliseconds; the first time since the proxy listens. CPU time says how long others have to
 * wait on an idle machine, however busy this one is.
 */
import { subscribe } from 'node:diagnostics_channel';

let longest = 0;
let last = cpu();

/** CPU time of this thread, in milliseconds. */
function cpu(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** Runs once in each turn, and does not bring one about. */
function turn(): void {
  const now = cpu();
  longest = Math.max(longest, now - last);
  last = now;
  setImmediate(turn).unref();
}

function begin(): void {
  longest = 0;
  last = cpu();
}

turn();
subscribe('tracing:net.server.listen:asyncEnd', begin);
process.on('SIGUSR2', () => {
  process.stderr.write(`${JSON.stringify({ msg: 'longest turn', ms: longest })}\n`);
  begin();
});
