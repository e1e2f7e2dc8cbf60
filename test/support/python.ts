/** Python environments with packages of its index, made once and kept among the other tools. */
import { existsSync } from 'node:fs';
import { runProcess } from './process.ts';

/** The most that making one may take, in milliseconds. */
const MAKE_MS = 300_000;

/** A Python with packages, or the reason why there is none here. */
export type Python = { readonly program: string } | { readonly missing: string };

/**
 * A Python with these packages.
 * @param name of the environment, below `.cache`
 * @param packages as pip takes them
 */
export async function pythonWith(name: string, packages: readonly string[]): Promise<Python> {
  const venv = `.cache/${name}`;
  const program = `${venv}/bin/python`;
  if (existsSync(`${venv}/ready`)) return { program };
  const list = packages.map((one) => `'${one}'`).join(' ');
  const script = `python3 -m venv ${venv} && ${venv}/bin/pip install -q ${list} && touch ${venv}/ready`;
  const { code, stderr } = await runProcess('sh', ['-c', script], { limitMs: MAKE_MS });
  if (code === 0) return { program };
  return { missing: `no Python with ${packages.join(', ')} here: ${stderr.trim().split('\n').at(-1)}` };
}
