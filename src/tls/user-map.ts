/**
 * Which user of etcd a client is, by the common name of the certificate that it has shown: a file, read again when it
 * changes. Nothing of what is in it gets into a message.
 */
import { readFlagged, sizeOfFlagged, TlsFileError } from './files.ts';
import { type Loaded, Reloading, type ReloadObserver } from './reloading.ts';
import type { FlaggedFile } from './settings.ts';

/** A user of etcd's. */
export interface MappedUser {
  readonly name: string;
  readonly password: string;
}

/** The users by common name. */
export interface UserMap extends Loaded {
  readonly users: ReadonlyMap<string, MappedUser>;
}

/** A file is no larger than this. Bytes. */
const MAX_BYTES = 4 << 20;

const FORM = 'want a JSON object like {"common name": {"name": "user", "password": "..."}}';

export class UserMapFile extends Reloading<UserMap> {
  constructor(file: FlaggedFile, observer: ReloadObserver) {
    super('cn-map', { paths: async () => [file.path], load: async () => readUserMap(file) }, observer);
  }
}

/** Reads the file. @throws TlsFileError that names it and nothing of what is in it */
export function readUserMap(file: FlaggedFile): UserMap {
  if (sizeOfFlagged(file) > MAX_BYTES) throw new TlsFileError(file, `is larger than ${MAX_BYTES >> 20} MiB`);
  const users = new Map<string, MappedUser>();
  for (const [commonName, user] of Object.entries(parse(file))) {
    if (commonName === '' || !isUser(user)) throw new TlsFileError(file, FORM);
    users.set(commonName, { name: user.name, password: user.password });
  }
  return { users, expires: undefined };
}

function parse(file: FlaggedFile): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(readFlagged(file).toString());
  } catch (error) {
    if (error instanceof TlsFileError) throw error;
    // What JSON.parse says quotes the file.
    throw new TlsFileError(file, FORM);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TlsFileError(file, FORM);
  return value as Record<string, unknown>;
}

function isUser(value: unknown): value is MappedUser {
  if (typeof value !== 'object' || value === null) return false;
  const { name, password } = value as Partial<Record<keyof MappedUser, unknown>>;
  return typeof name === 'string' && name !== '' && typeof password === 'string';
}
