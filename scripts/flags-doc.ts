/** Writes `docs/flags.md` from the table of flags. */
import { writeFileSync } from 'node:fs';
import { flagsDocument } from '../src/config/usage.ts';

writeFileSync('docs/flags.md', flagsDocument());
