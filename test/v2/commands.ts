/**
 * The command lines of the two documents that describe the proxy, as they are written there (`test/data/*.commands`), and what
 * is changed of them for a test: the name of the program, hosts, and one port that only root may have.
 */
import { readFileSync } from 'node:fs';

/** Loopback has many addresses: a test takes some of its own, so that ports can be those of the documents. */
const NET = `127.${1 + (process.pid % 254)}.${1 + (Math.floor(process.pid / 254) % 254)}`;

/** The address that stands for the machine of the reader. */
export const HERE = `${NET}.1`;

/** The members of the cluster: their addresses, by their names in the documents. */
export const MEMBERS = [10, 11, 12].map((at, i) => ({
  name: `infra${i}`,
  host: `infra${i}.example.com`,
  address: `${NET}.${at}`,
  written: `10.0.1.${at}`,
}));

/** The discovery service. */
export const DISCOVERY = { host: 'discovery.etcd.io', address: `${NET}.20`, port: 8443 };

/** What is read differently. Names of members are left: the look-up of names has them. */
const TABLE: readonly [written: RegExp, read: string][] = [
  [/\betcd (?=-proxy|grpc-proxy)/g, 'etcd-connect-proxy '],
  [/\blocalhost\b/g, HERE],
  [/\b127\.0\.0\.1\b/g, HERE],
  [/\b0\.0\.0\.0\b/g, HERE],
  ...MEMBERS.map(({ written, address }): [RegExp, string] => [
    new RegExp(`\\b${written.replaceAll('.', '\\.')}\\b`, 'g'),
    address,
  ]),
  [/discovery\.etcd\.io(?!:)/g, `${DISCOVERY.host}:${DISCOVERY.port}`],
];

/** The file for the look-up of names. */
export const HOSTS_FILE = [...MEMBERS, DISCOVERY].map(({ host, address }) => `${host} ${address}\n`).join('');

/** The command lines of a document, in its order. */
export function commandsOf(document: 'v2-proxy' | 'grpc-proxy'): string[] {
  const text = readFileSync(`test/data/${document}.commands`, 'utf8');
  return text.trim().split('\n\n').map(mapped);
}

/** A text of the documents with hosts as the test has them. */
export function mapped(text: string): string {
  return TABLE.reduce((read, [from, to]) => read.replace(from, to), text);
}
