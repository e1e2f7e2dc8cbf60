/** The version of the program, from `package.json`. */
import { readFileSync } from 'node:fs';

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** The version, such as `1.2.3`. */
export const VERSION: string = manifest.version;
