/** The common names of a certificate, from the parts of its subject and not from a text that somebody would have to take apart. */
import type { X509Certificate } from 'node:crypto';

/** All of them, as they are written; empty ones do not count. */
export function commonNames(certificate: X509Certificate): string[] {
  // Node.js has no subject for a certificate whose names are all in its extension, whatever its types say.
  const subject = certificate.toLegacyObject().subject as
    | { readonly CN?: string | readonly string[] }
    | undefined;
  return [subject?.CN ?? []].flat().filter((name) => name !== '');
}
