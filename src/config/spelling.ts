/** Names that are mistyped: which one was meant. */
import { environmentName, FLAGS, type FlagName } from './flags.ts';

/** Environment variables that begin so are for the program. */
const PREFIX = 'ETCD_PROXY_';

/** What Kubernetes sets in each container of a namespace that has a service named `etcd-proxy`. */
const OF_KUBERNETES = /^ETCD_PROXY_(?:SERVICE_(?:HOST|PORT)|PORT)(?:_|$)/;

/** More than that is a name that nobody confuses with a flag's. Characters. */
const MAX_NAME = 64;

/** The flag whose name is nearest; undefined: none is near. */
export function nearestFlag(name: string): FlagName | undefined {
  if (name.length > MAX_NAME) return undefined;
  // One slip in each four letters, and at least two.
  let least = Math.max(2, Math.floor(name.length / 4)) + 1;
  let nearest: FlagName | undefined;
  for (const flag of FLAGS) {
    const slips = slipsBetween(name.toLowerCase().replaceAll('_', '-'), flag.name);
    if (slips >= least || slips >= flag.name.length / 2) continue;
    least = slips;
    nearest = flag.name;
  }
  return nearest;
}

/** The names of variables that look as if they set a flag, and set none. Values are not told. */
export function unknownVariables(environment: NodeJS.ProcessEnv): readonly string[] {
  const known = new Set(FLAGS.map(({ name }) => environmentName(name)));
  return Object.keys(environment)
    .filter((name) => name.startsWith(PREFIX) && !known.has(name) && !OF_KUBERNETES.test(name))
    .toSorted();
}

/** How many letters have to be changed, put in or left out (Levenshtein). */
function slipsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = (above[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(same, (above[j] as number) + 1, (row[j - 1] as number) + 1));
    }
  }
  return row[b.length] as number;
}
