/**
 * Certificates for tests: an authority, what it signs, and its revocation lists, made by the library that the
 * proxy itself makes certificates with; no other program is needed.
 */
import { randomBytes, webcrypto } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import * as asn1 from 'asn1js';
import * as pkijs from 'pkijs';
import { tempDir } from '../support/process.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const HOUR_MS = 3600 * 1000;

/** The paths of a certificate and its key. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
  /** In hexadecimal. */
  readonly serial: string;
}

/** What a certificate says. */
export interface Subject {
  readonly commonName?: string;
  /** Further ones, behind it. */
  readonly furtherNames?: readonly string[];
  /** `etcd tests` by default. */
  readonly organization?: string;
  /** All names are in the extension: the subject is empty. */
  readonly nameless?: boolean;
  /** Names and IPv4 addresses. */
  readonly hosts?: readonly string[];
  /** Hours from now, negative in the past; valid from two hours ago to 24 hours ahead by default. */
  readonly notBefore?: number;
  readonly notAfter?: number;
}

interface Names {
  readonly subject: pkijs.RelativeDistinguishedNames;
  readonly keys: webcrypto.CryptoKeyPair;
}

/** An authority of its own, with everything it signs in one folder. */
export class Authority {
  readonly folder: string;
  /** The path of its certificate. */
  readonly cert: string;
  readonly #names: Names;

  private constructor(folder: string, cert: string, names: Names) {
    this.folder = folder;
    this.cert = cert;
    this.#names = names;
  }

  static async create(name = 'test authority'): Promise<Authority> {
    const folder = await tempDir('pki');
    const keys = await newKeys();
    const certificate = await blank({ commonName: name }, keys);
    certificate.issuer = certificate.subject;
    certificate.extensions = [
      extension('2.5.29.19', new pkijs.BasicConstraints({ cA: true }).toSchema(), true),
      // keyCertSign, cRLSign, digitalSignature
      extension(
        '2.5.29.15',
        new asn1.BitString({ valueHex: Uint8Array.of(0x86).buffer, unusedBits: 1 }),
        true,
      ),
    ];
    await certificate.sign(keys.privateKey, 'SHA-256');
    const cert = join(folder, 'ca.pem');
    await writeFile(cert, pem('CERTIFICATE', certificate.toSchema(true).toBER()));
    return new Authority(folder, cert, { subject: certificate.subject, keys });
  }

  /** Signs a certificate for servers and clients, and writes it and its key to files of this name. */
  async issue(file: string, subject: Subject = {}): Promise<Pair> {
    const keys = await newKeys();
    const certificate = await blank(subject, keys);
    certificate.issuer = this.#names.subject;
    const usages = ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'];
    certificate.extensions = [
      extension('2.5.29.37', new pkijs.ExtKeyUsage({ keyPurposes: usages }).toSchema(), false),
    ];
    const names = (subject.hosts ?? []).map(generalName);
    if (names.length > 0) {
      certificate.extensions.push(
        extension('2.5.29.17', new pkijs.GeneralNames({ names }).toSchema(), false),
      );
    }
    await certificate.sign(this.#names.keys.privateKey, 'SHA-256');
    const pair = {
      cert: join(this.folder, `${file}.crt`),
      key: join(this.folder, `${file}.key`),
      serial: hex(certificate.serialNumber),
    };
    await writeFile(pair.key, pem('PRIVATE KEY', await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)));
    await writeFile(pair.cert, pem('CERTIFICATE', certificate.toSchema(true).toBER()));
    return pair;
  }

  /** A revocation list in PEM. @param nextUpdate hours from now, negative for a list that is out of date */
  async revocationList(serials: readonly string[], nextUpdate = 1): Promise<string> {
    const list = new pkijs.CertificateRevocationList();
    list.version = 1;
    list.issuer = this.#names.subject;
    list.thisUpdate = time(-3);
    list.nextUpdate = time(nextUpdate);
    if (serials.length > 0) {
      list.revokedCertificates = serials.map(
        (serial) =>
          new pkijs.RevokedCertificate({
            userCertificate: new asn1.Integer({
              valueHex: Uint8Array.from(Buffer.from(serial, 'hex')).buffer,
            }),
            revocationDate: time(-1),
          }),
      );
    }
    await list.sign(this.#names.keys.privateKey, 'SHA-256');
    return pem('X509 CRL', list.toSchema(true).toBER());
  }
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

async function blank(subject: Subject, keys: webcrypto.CryptoKeyPair): Promise<pkijs.Certificate> {
  const certificate = new pkijs.Certificate();
  certificate.version = 2;
  const serial = Uint8Array.from(randomBytes(12));
  serial[0] = 0x5a; // positive, and never shorter
  certificate.serialNumber = new asn1.Integer({ valueHex: serial.buffer });
  const add = (type: string, text: string) =>
    certificate.subject.typesAndValues.push(
      new pkijs.AttributeTypeAndValue({ type, value: new asn1.Utf8String({ value: text }) }),
    );
  if (subject.nameless !== true) add('2.5.4.10', subject.organization ?? 'etcd tests');
  if (subject.commonName !== undefined) add('2.5.4.3', subject.commonName);
  for (const name of subject.furtherNames ?? []) add('2.5.4.3', name);
  certificate.notBefore = time(subject.notBefore ?? -2);
  certificate.notAfter = time(subject.notAfter ?? 24);
  await certificate.subjectPublicKeyInfo.importKey(keys.publicKey);
  return certificate;
}

function time(hours: number): pkijs.Time {
  return new pkijs.Time({ type: 0, value: new Date(Date.now() + hours * HOUR_MS) });
}

function extension(extnID: string, value: { toBER(): ArrayBuffer }, critical: boolean): pkijs.Extension {
  return new pkijs.Extension({ extnID, critical, extnValue: value.toBER() });
}

function generalName(host: string): pkijs.GeneralName {
  if (isIP(host) === 0) return new pkijs.GeneralName({ type: 2, value: host });
  const valueHex = Uint8Array.from(host.split('.'), Number).buffer;
  return new pkijs.GeneralName({ type: 7, value: new asn1.OctetString({ valueHex }) });
}

function hex(serial: asn1.Integer): string {
  return Buffer.from(serial.valueBlock.valueHexView).toString('hex');
}

function pem(label: string, der: ArrayBuffer): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
