/**
 * The certificate of `--auto-tls`: made once, kept in a folder, and used again from then on.
 */
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TlsFileError } from './files.ts';
import type { KeyPairFiles, SelfSigned } from './settings.ts';

/**
 * The files in the folder; made first where one is missing or the certificate has expired.
 * @throws TlsFileError when the folder cannot be written
 */
export async function selfSignedFiles(settings: SelfSigned): Promise<KeyPairFiles> {
  const files = {
    cert: { flag: '--auto-tls', path: join(settings.folder, 'cert.pem') },
    key: { flag: '--auto-tls', path: join(settings.folder, 'key.pem') },
  };
  if (usable(files)) return files;
  // Loaded when it is needed: only --auto-tls makes certificates.
  const { makeSelfSigned } = await import('./make-certificate.ts');
  const made = await makeSelfSigned(settings.hosts, settings.years);
  try {
    mkdirSync(settings.folder, { recursive: true, mode: 0o700 });
    writeWhole(files.key.path, made.key, 0o600);
    writeWhole(files.cert.path, made.cert, 0o644);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new TlsFileError({ flag: '--data-dir', path: settings.folder }, `cannot be written (${code})`);
  }
  return files;
}

/** A broken file counts as usable: whoever put it there hears of it when it is read, instead of losing it. */
function usable({ cert, key }: KeyPairFiles): boolean {
  if (!existsSync(cert.path) || !existsSync(key.path)) return false;
  try {
    return Date.parse(new X509Certificate(readFileSync(cert.path)).validTo) > Date.now();
  } catch {
    return true;
  }
}

function writeWhole(path: string, contents: string, mode: number): void {
  const draft = `${path}.${process.pid}.tmp`;
  writeFileSync(draft, contents, { mode });
  renameSync(draft, path);
}
