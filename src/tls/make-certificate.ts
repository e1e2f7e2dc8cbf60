/**
 * Builds a self-signed server certificate. The library writes the ASN.1, the platform's cryptography makes the
 * key and the signature.
 */
import { randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import * as asn1 from 'asn1js';
import * as pkijs from 'pkijs';

/** P-256, which every client knows and whose signatures are the quickest. */
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const DAY_MS = 24 * 3600 * 1000;

/** Object identifiers of RFC 5280. */
const OID = {
  organization: '2.5.4.10',
  keyUsage: '2.5.29.15',
  alternativeNames: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
} as const;

/** Kinds of names of RFC 5280 section 4.2.1.6. */
const DNS_NAME = 2;
const IP_ADDRESS = 7;

/** A certificate and its key, in PEM. */
export interface MadeCertificate {
  readonly cert: string;
  readonly key: string;
}

/** Makes a certificate for names and IP addresses, valid from now for this many years of 365 days. */
export async function makeSelfSigned(hosts: readonly string[], years: number): Promise<MadeCertificate> {
  const { subtle } = webcrypto;
  const keys = await subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = new pkijs.Certificate();
  certificate.version = 2; // counted from zero: X.509 version 3
  certificate.serialNumber = new asn1.Integer({ valueHex: serialNumber() });
  for (const name of [certificate.subject, certificate.issuer]) {
    const value = new asn1.Utf8String({ value: 'etcd' });
    name.typesAndValues.push(new pkijs.AttributeTypeAndValue({ type: OID.organization, value }));
  }
  const now = Date.now();
  certificate.notBefore.value = new Date(now);
  certificate.notAfter.value = new Date(now + years * 365 * DAY_MS);
  certificate.extensions = extensions(hosts);
  await certificate.subjectPublicKeyInfo.importKey(keys.publicKey);
  await certificate.sign(keys.privateKey, 'SHA-256');
  return {
    cert: pem('CERTIFICATE', certificate.toSchema(true).toBER()),
    key: pem('PRIVATE KEY', await subtle.exportKey('pkcs8', keys.privateKey)),
  };
}

function extensions(hosts: readonly string[]): pkijs.Extension[] {
  const extension = (extnID: string, critical: boolean, value: { toBER(): ArrayBuffer }) =>
    new pkijs.Extension({ extnID, critical, extnValue: value.toBER() });
  const digitalSignature = new asn1.BitString({ valueHex: Uint8Array.of(0x80).buffer, unusedBits: 7 });
  const serverOnly = new pkijs.ExtKeyUsage({ keyPurposes: [OID.serverAuth] });
  return [
    extension(OID.basicConstraints, true, new pkijs.BasicConstraints({ cA: false }).toSchema()),
    extension(OID.keyUsage, true, digitalSignature),
    extension(OID.extendedKeyUsage, false, serverOnly.toSchema()),
    extension(OID.alternativeNames, false, new pkijs.GeneralNames({ names: hosts.map(nameOf) }).toSchema()),
  ];
}

function nameOf(host: string): pkijs.GeneralName {
  if (isIP(host) === 0) return new pkijs.GeneralName({ type: DNS_NAME, value: host });
  const value = new asn1.OctetString({ valueHex: addressBytes(host).buffer });
  return new pkijs.GeneralName({ type: IP_ADDRESS, value });
}

/** A positive number of 127 bits: never negative, never zero. */
function serialNumber(): ArrayBuffer {
  const bytes = Uint8Array.from(randomBytes(16));
  bytes[0] = ((bytes[0] as number) & 0x7f) | 0x40;
  return bytes.buffer;
}

/** The 4 or 16 octets of an IP address. */
function addressBytes(address: string): Uint8Array<ArrayBuffer> {
  if (isIP(address) === 4) return Uint8Array.from(address.split('.'), Number);
  // The URL parser writes an embedded IPv4 address as two groups; what is left is one gap of zeros at most.
  const plain = new URL(`http://[${address.replace(/%.*/, '')}]`).hostname.slice(1, -1);
  const [head = '', tail = ''] = plain.split('::');
  const groups = (text: string) => text.split(':').filter((group) => group !== '');
  const zeros = new Array<string>(8 - groups(head).length - groups(tail).length).fill('0');
  const all = [...groups(head), ...zeros, ...groups(tail)].map((group) => Number.parseInt(group, 16));
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

function pem(label: string, der: ArrayBuffer): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
