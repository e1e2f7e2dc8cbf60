/**
 * Why a TLS handshake failed: a reason out of a few, for metrics, and a sentence, for the log.
 */

/** The reasons that are told apart. */
export type FailureReason =
  | 'timeout'
  | 'connection_lost'
  | 'no_certificate'
  | 'certificate_expired'
  | 'certificate_revoked'
  | 'certificate_invalid'
  | 'unknown_authority'
  | 'wrong_host'
  | 'version'
  | 'cipher_suite'
  | 'alpn'
  | 'refused_by_peer'
  | 'malformed';

/** How a handshake failed. */
export interface HandshakeFailure {
  readonly reason: FailureReason;
  readonly detail: string;
}

/** By the code of the error, which for OpenSSL's errors is made of its reason. The first that matches holds. */
const REASONS: readonly (readonly [code: RegExp, reason: FailureReason])[] = [
  [/^ERR_TLS_HANDSHAKE_TIMEOUT$/, 'timeout'],
  [/^(ECONNRESET|EPIPE|ECONNABORTED|ETIMEDOUT)$/, 'connection_lost'],
  [/^CERT_HAS_EXPIRED$/, 'certificate_expired'],
  [/^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|CERT_UNTRUSTED)/, 'unknown_authority'],
  [/^CERT_REVOKED$/, 'certificate_revoked'],
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, 'wrong_host'],
  [/^(CERT_|INVALID_|PATH_LENGTH_|ERROR_IN_CERT|HOSTNAME_)/, 'certificate_invalid'],
  [/NO_APPLICATION_PROTOCOL/, 'alpn'],
  [
    /(PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|VERSION_TOO_(LOW|HIGH)|WRONG_VERSION|INAPPROPRIATE_FALLBACK)/,
    'version',
  ],
  [/(NO_SHARED_CIPHER|NO_CIPHERS)/, 'cipher_suite'],
  [/_ALERT_/, 'refused_by_peer'],
];

/** What an error of node:tls, or a code of a certificate that did not verify, says. */
export function handshakeFailureOf(error: unknown): HandshakeFailure {
  if (!(error instanceof Error)) {
    const code = String(error);
    return { reason: reasonOf(code), detail: code };
  }
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return { reason: reasonOf(code), detail: describeTlsError(error) };
}

function reasonOf(code: string): FailureReason {
  return REASONS.find(([pattern]) => pattern.test(code))?.[1] ?? 'malformed';
}

/** One line for a person. OpenSSL's own messages hold addresses and source files; its reason is what matters. */
export function describeTlsError(error: Error): string {
  const { code, reason } = error as NodeJS.ErrnoException & { readonly reason?: string };
  const said = reason ?? /:SSL routines:[^:]*:([^:]+):/.exec(error.message)?.[1];
  if (said !== undefined && (code === 'EPROTO' || code?.startsWith('ERR_SSL_'))) {
    return /wrong version number|packet length too long/.test(said)
      ? `TLS: ${said} (not a TLS server?)`
      : `TLS: ${said}`;
  }
  if (code === undefined || error.message === '') return code ?? error.message;
  return error.message.includes(code) ? error.message : `${error.message} (${code})`;
}
