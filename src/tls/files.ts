/**
 * Reads certificates, keys and authorities, and says in one line what is wrong with which file of which flag.
 * Contents never get into a message.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { describeTlsError } from './handshake-failure.ts';
import type { FlaggedFile, KeyPairFiles } from './settings.ts';

/** A file that cannot be used. The message is one line that names the flag and the file. */
export class TlsFileError extends Error {
  constructor(file: FlaggedFile, problem: string) {
    super(`${file.flag}: ${file.path}: ${problem}`);
  }
}

/** A certificate chain and its key, as PEM, and what is to be known about them. */
export interface KeyPair {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** The first certificate of the chain. */
  readonly leaf: X509Certificate;
}

/** @throws TlsFileError when the file cannot be read */
export function readFlagged(file: FlaggedFile): Buffer {
  return accessed(file, (path) => readFileSync(path));
}

/** In bytes. @throws TlsFileError when there is no such file, or it cannot be looked at */
export function sizeOfFlagged(file: FlaggedFile): number {
  return accessed(file, (path) => statSync(path).size);
}

function accessed<T>(file: FlaggedFile, access: (path: string) => T): T {
  try {
    return access(file.path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new TlsFileError(file, code === 'ENOENT' ? 'no such file' : `cannot be read (${code})`);
  }
}

/** @throws TlsFileError when a file cannot be read, is no PEM of its kind, or the key is another's */
export function readKeyPair(files: KeyPairFiles): KeyPair {
  const [cert, key] = [readFlagged(files.cert), readFlagged(files.key)];
  const leaf = firstCertificate(files.cert, cert);
  if (!leaf.checkPrivateKey(privateKey(files.key, key))) {
    throw new TlsFileError(files.key, `is not the key of the certificate in ${files.cert.path}`);
  }
  return { cert, key, leaf };
}

/** @throws TlsFileError when the file cannot be read or holds no certificate in PEM */
export function readAuthorities(file: FlaggedFile): Buffer {
  const pem = readFlagged(file);
  firstCertificate(file, pem);
  return pem;
}

function firstCertificate(file: FlaggedFile, pem: Buffer): X509Certificate {
  try {
    if (pem.includes('-----BEGIN ')) return new X509Certificate(pem);
  } catch {
    // The reason is OpenSSL's own jargon; the line below says what a user needs.
  }
  throw new TlsFileError(file, 'holds no certificate in PEM form');
}

function privateKey(file: FlaggedFile, pem: Buffer): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    const encrypted = (error as NodeJS.ErrnoException).code === 'ERR_MISSING_PASSPHRASE';
    throw new TlsFileError(file, encrypted ? 'the key is encrypted' : 'holds no private key in PEM form');
  }
}

/**
 * Proves that OpenSSL takes what was read.
 * @throws TlsFileError naming `file`, when it does not
 */
export function contextOf(file: FlaggedFile | undefined, options: SecureContextOptions): SecureContext {
  try {
    return createSecureContext(options);
  } catch (error) {
    if (file === undefined) throw error;
    throw new TlsFileError(file, `cannot be used: ${describeTlsError(error as Error)}`);
  }
}
