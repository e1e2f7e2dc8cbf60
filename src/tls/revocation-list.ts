/**
 * The serial numbers of a certificate revocation list (RFC 5280 section 5).
 *
 * They are compared by this project and not by OpenSSL (the `crl` option of node:tls), because OpenSSL refuses
 * everybody as soon as the list is past its next update, or is missing for one of several authorities. As in
 * etcd, a serial number in the list refuses the certificate, however old the list is and whoever issued it.
 */
import type { CertificateRevocationList } from 'pkijs';
import { TlsFileError } from './files.ts';
import type { FlaggedFile } from './settings.ts';

/** What a revocation list says. */
export class RevocationList {
  readonly #serials: ReadonlySet<string>;

  constructor(serials: ReadonlySet<string>) {
    this.#serials = serials;
  }

  get size(): number {
    return this.#serials.size;
  }

  /** Whether a serial number, in hexadecimal, is in the list. */
  has(serial: string): boolean {
    return this.#serials.has(normalSerial(serial));
  }
}

/**
 * Reads a list in DER, or one or more in PEM.
 * @throws TlsFileError when the contents are something else
 */
export async function parseRevocationList(file: FlaggedFile, contents: Buffer): Promise<RevocationList> {
  const serials = new Set<string>();
  // Loaded when it is needed: most proxies have no revocation list.
  const pkijs = await import('pkijs');
  const lists = derOf(contents).map((der) =>
    decode(file, () => pkijs.CertificateRevocationList.fromBER(der)),
  );
  if (lists.length === 0) throw new TlsFileError(file, 'holds no revocation list');
  for (const list of lists) {
    for (const { userCertificate } of list.revokedCertificates ?? []) {
      serials.add(normalSerial(Buffer.from(userCertificate.valueBlock.valueHexView).toString('hex')));
    }
  }
  return new RevocationList(serials);
}

function decode(file: FlaggedFile, read: () => CertificateRevocationList): CertificateRevocationList {
  try {
    return read();
  } catch {
    // The library's reason speaks of ASN.1 schemas; the user needs to know which file.
    throw new TlsFileError(file, 'is not a revocation list');
  }
}

function derOf(contents: Buffer): Buffer[] {
  const text = contents.toString('latin1');
  if (!text.includes('-----BEGIN ')) return [contents];
  const blocks = text.matchAll(/-----BEGIN X509 CRL-----([^-]*)-----END X509 CRL-----/g);
  return [...blocks].map(([, base64]) => Buffer.from(base64 as string, 'base64'));
}

/** Without leading zeros and in capitals, as node:tls writes them. */
function normalSerial(hex: string): string {
  return hex.replace(/^0+(?=.)/, '').toUpperCase();
}
