/** Writes the result of a benchmark into docs/benchmarks.md, where it replaces the section of the same name. */
import { readFile, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';

const FILE = `${import.meta.dirname}/../../docs/benchmarks.md`;

const PREAMBLE = `# Benchmarks

Each section is written by the command that it names, all contestants in turns in one run on one machine. Trust the ratios.
`;

/**
 * Writes a section with the date and the machine of this run; nothing where `BENCH_BEFORE` or `BENCH_FLAGS` have something
 * else compared.
 */
export async function writeSection(
  title: string,
  command: string,
  setup: string,
  table: readonly string[],
): Promise<void> {
  if (process.env.BENCH_BEFORE !== undefined || process.env.BENCH_FLAGS !== undefined) return;
  const machine = `${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node.js ${process.version}`;
  const date = new Date().toISOString().slice(0, 10);
  const section = [`## ${title}`, '', `\`${command}\`, ${date}, ${machine}.`, setup, '', ...table, ''].join(
    '\n',
  );
  const existing = await readFile(FILE, 'utf8').catch(() => PREAMBLE);
  const others = existing.split(/^(?=## )/m).filter((part) => !part.startsWith(`## ${title}\n`));
  await writeFile(FILE, `${others.map((part) => part.trimEnd()).join('\n\n')}\n\n${section}`);
}
