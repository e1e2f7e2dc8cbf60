/** Finds and shows where two plain values differ. */
import type { Plain } from './plain.ts';

/** One place where two values differ. */
export interface Difference {
  /** Where, such as `2 KV.Range / messages[0].header.revision`. */
  readonly path: string;
  /** The value on the direct side; undefined where it has none. */
  readonly direct: Plain;
  /** The value on the other side. */
  readonly other: Plain;
}

const entriesOf = (value: object): Map<string, Plain> =>
  new Map(Object.entries(value).filter(([, inner]) => inner !== undefined));

function inLists(direct: readonly Plain[], other: readonly Plain[], path: string): Difference[] {
  const found: Difference[] = [];
  for (let at = 0; at < Math.max(direct.length, other.length); at++)
    found.push(...differences(direct[at], other[at], `${path}[${at}]`));
  return found;
}

function inObjects(direct: object, other: object, path: string): Difference[] {
  const [left, right] = [entriesOf(direct), entriesOf(other)];
  const names = new Set([...left.keys(), ...right.keys()]);
  return [...names].flatMap((name) =>
    differences(left.get(name), right.get(name), path === '' ? name : `${path}.${name}`),
  );
}

/** All places where two values differ; none where they are equal. */
export function differences(direct: Plain, other: Plain, path = ''): Difference[] {
  if (Object.is(direct, other)) return [];
  if (Array.isArray(direct) && Array.isArray(other)) return inLists(direct, other, path);
  const objects = typeof direct === 'object' && typeof other === 'object';
  if (objects && !Array.isArray(direct) && !Array.isArray(other)) return inObjects(direct, other, path);
  return [{ path, direct, other }];
}

const shownMost = 15;

function short(value: Plain): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 400 ? `${text.slice(0, 400)}...` : text;
}

/** Differences as lines of text. */
export function showDifferences(found: readonly Difference[], other = 'proxy'): string {
  const width = Math.max(other.length, 'direct'.length);
  const lines = found
    .slice(0, shownMost)
    .map(
      ({ path, direct, other: value }) =>
        `  ${path}\n    ${'direct'.padEnd(width)}  ${short(direct)}\n    ${other.padEnd(width)}  ${short(value)}`,
    );
  const more = found.length - shownMost;
  return [...lines, ...(more > 0 ? [`  and ${more} more`] : [])].join('\n');
}
