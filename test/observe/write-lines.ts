/**
 * A program for the tests of the sink: writes lines to stderr while it does other work, tells on stdout how that
 * went, and ends at once with code 3. Arguments: how many lines, and how long each is.
 */
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { deflate } from 'node:zlib';
import { Sink } from '../../src/observe/sink.ts';

const [lines, length] = process.argv.slice(2).map(Number) as [number, number];
const sink = new Sink(2);
let longestTurn = 0;
let last = performance.now();
const turns = setInterval(() => {
  longestTurn = Math.max(longestTurn, performance.now() - last);
  last = performance.now();
}, 5);

for (let written = 0; written < lines; written++) {
  sink.write(`${JSON.stringify({ line: written, text: 'x'.repeat(length) })}\n`);
  if (written % 1000 === 999) await new Promise((resolve) => setImmediate(resolve));
}
// What runs on the same threads as writes to files do.
const work = Array.from({ length: 20 }, async () => {
  await promisify(deflate)(Buffer.alloc(100_000));
  await readFile(import.meta.filename);
});
await Promise.all(work);
clearInterval(turns);
process.stdout.write(`${JSON.stringify({ lost: sink.lost, longestTurn })}\n`, () => process.exit(3));
