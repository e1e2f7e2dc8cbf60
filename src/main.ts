/**
 * Where the process begins. Small on purpose: signals are caught before the rest of the program, whose reading takes
 * most of the time until the proxy serves.
 */
import { Signals } from './signals.ts';

const signals = new Signals();
const { run } = await import('./program.ts');
await run(signals);
