/**
 * What the rest of the program has to say about TLS: plain values, read from flags elsewhere. Files are named
 * together with the flag that named them, so that every complaint can name both.
 */

/** The versions of TLS that are spoken at all, as node:tls writes them. */
export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

/** A file and the flag that named it. */
export interface FlaggedFile {
  /** With its dashes, such as `--cert-file`. */
  readonly flag: string;
  readonly path: string;
}

/** A certificate with its key. */
export interface KeyPairFiles {
  readonly cert: FlaggedFile;
  readonly key: FlaggedFile;
}

/** A certificate that the proxy makes itself. */
export interface SelfSigned {
  /** Folder where certificate and key are kept. */
  readonly folder: string;
  readonly years: number;
  /** Names and IP addresses that it is made for. */
  readonly hosts: readonly string[];
}

/** TLS to clients. */
export interface ServerTlsSettings {
  readonly pair: KeyPairFiles | SelfSigned;
  /** Where given, clients must show a certificate that it signed. */
  readonly ca: FlaggedFile | undefined;
  readonly crl: FlaggedFile | undefined;
  /** OpenSSL's names for TLS 1.2; empty: node:tls's own choice. */
  readonly cipherSuites: readonly string[];
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  /** Milliseconds for a whole handshake. */
  readonly handshakeTimeout: number;
}

/** TLS to etcd. */
export interface ClientTlsSettings {
  /** Shown to etcd when it asks. */
  readonly pair: KeyPairFiles | undefined;
  /** Signs etcd's certificates; the system's authorities where it is missing. */
  readonly ca: FlaggedFile | undefined;
  /** False: any certificate will do. */
  readonly verify: boolean;
}

/**
 * What files are read for, as metrics and log call it: the two sides of the proxy, who its clients are to
 * etcd, and TLS to a discovery service.
 */
export type TlsSide = 'server' | 'client' | 'cn-map' | 'discovery';
