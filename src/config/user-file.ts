/** The file with the proxy's own user in etcd. A flag would show the password to everybody who may list processes. */
import { readFileSync } from 'node:fs';
import type { User } from '../clients/authenticate.ts';
import type { Config } from './config.ts';
import { UsageError } from './usage-error.ts';

/** The file, and the flag that names it. */
export interface UserFile {
  readonly flag: string;
  readonly path: string;
}

/** Where the proxy's own user is; `undefined`: it has none. @throws UsageError where two flags name two files */
export function userFileOf(config: Config): UserFile | undefined {
  const [path, older] = [config['user-file'], config['cache-prefix-user-file']];
  if (path !== '' && older !== '' && path !== older)
    throw new UsageError('--user-file and --cache-prefix-user-file, its older name, say different things');
  if (path !== '') return { flag: '--user-file', path };
  return older === '' ? undefined : { flag: '--cache-prefix-user-file', path: older };
}

/** Reads the first line, `name:password`. @throws UsageError that names the file and nothing of what is in it */
export function readUserFile({ flag, path }: UserFile): User {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(
      `${flag}: ${path}: ${code === 'ENOENT' ? 'no such file' : `cannot be read (${code})`}`,
    );
  }
  const [, name, password] = /^([^:\r\n]+):([^\r\n]*)/.exec(text) ?? [];
  if (name === undefined || password === undefined)
    throw new UsageError(`${flag}: ${path}: want name:password in the first line`);
  return { name, password };
}
