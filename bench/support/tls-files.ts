/** Certificates for benchmarks with TLS on both sides. */
import { Authority } from '../../test/tls/pki.ts';
import type { ContestantTls } from './contestants.ts';

/** The files of one authority: etcd's and the proxies', and the authority's own certificate. */
export async function makeTls(): Promise<{ readonly tls: ContestantTls; readonly caFile: string }> {
  const ca = await Authority.create();
  const server = await ca.issue('server', { hosts: ['localhost', '127.0.0.1'] });
  const client = await ca.issue('client');
  const flags = [
    `--cert=${client.cert}`,
    `--key=${client.key}`,
    `--cacert=${ca.cert}`,
    `--cert-file=${server.cert}`,
    `--key-file=${server.key}`,
  ];
  return { tls: { etcd: { certFile: server.cert, keyFile: server.key }, flags }, caFile: ca.cert };
}
