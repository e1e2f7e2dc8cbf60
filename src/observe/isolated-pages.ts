/** The pages for Prometheus as clients of isolated namespaces see them: without the names of others. */
import type { Client } from '../rpc/client.ts';
import type { MetricsPage } from '../rpc/pages.ts';
import type { MetricsPages } from './metrics-pages.ts';

/** A series of the proxy's that is about one namespace or one range of keys. */
const NAMED = /^etcd_proxy_\w+\{.*?\b(namespace|prefix)="((?:[^"\\]|\\.)*)"/;

export class IsolatedPages {
  readonly #pages: MetricsPages;

  constructor(pages: MetricsPages) {
    this.#pages = pages;
  }

  async all(client: Client): Promise<MetricsPage> {
    return seenBy(client, await this.#pages.all());
  }

  async own(client: Client): Promise<MetricsPage> {
    return seenBy(client, await this.#pages.own());
  }
}

function seenBy({ namespace }: Client, page: MetricsPage): MetricsPage {
  if (namespace === '') return page;
  const own = escaped(namespace);
  const lines = Buffer.from(page.body).toString('utf8').split('\n');
  const seen = lines.filter((line) => {
    const [, label, name = ''] = NAMED.exec(line) ?? [];
    return label === undefined || (label === 'namespace' ? name === own : name.startsWith(own));
  });
  return { ...page, body: seen.join('\n') };
}

/** As label values are written. */
function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}
