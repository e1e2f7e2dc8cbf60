/** The file with the proxy's own user in etcd. A flag would show the password to everybody who may list processes. */
import { readFileSync } from 'node:fs';
import type { User } from '../clients/authenticate.ts';
import type { FlagName } from './flags.ts';
import { UsageError } from './usage-error.ts';

/** Its flag. */
const FLAG: FlagName = 'cache-prefix-user-file';

/** Reads the first line, `name:password`. @throws UsageError that names the file and nothing of what is in it */
export function readUserFile(path: string): User {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(
      `--${FLAG}: ${path}: ${code === 'ENOENT' ? 'no such file' : `cannot be read (${code})`}`,
    );
  }
  const [, name, password] = /^([^:\r\n]+):([^\r\n]*)/.exec(text) ?? [];
  if (name === undefined || password === undefined)
    throw new UsageError(`--${FLAG}: ${path}: want name:password in the first line`);
  return { name, password };
}
