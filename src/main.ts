/**
 * Where the process begins. Small on purpose: signals are caught before the rest of the program, whose reading takes
 * most of the time until the proxy serves.
 */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { Signals } from './signals.ts';

const signals = new Signals();
// What V8 makes of the sources is kept beside them; the build makes it. Where there is none and none can be written, it is
// made anew each time, which is slower and no error.
enableCompileCache(join(import.meta.dirname, 'compile-cache'));
const { run } = await import('./program.ts');
await run(signals);
