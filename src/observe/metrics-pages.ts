/**
 * The pages for Prometheus, in its text format: the proxy's own, and etcd's followed by what of the proxy's own it does
 * not have, since a family may be on a page only once.
 */
import type { Registry } from '@prometheus-io/client';
import { type EtcdPages, METRICS_BOUNDS, type MetricsPage, type NoPage } from '../rpc/pages.ts';
import type { PageObserver } from '../upstream/endpoint-pages.ts';
import { exposeCounts } from './readings.ts';

/** Makes both pages. */
export class MetricsPages {
  readonly #registry: Registry;
  readonly #etcd: EtcdPages;
  #all: Promise<MetricsPage> | undefined;

  constructor(registry: Registry, etcd: EtcdPages) {
    this.#registry = registry;
    this.#etcd = etcd;
  }

  /** The proxy's own families alone. */
  async own(): Promise<MetricsPage> {
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() };
  }

  /**
   * The page of the etcd in use and after it the proxy's own families; these alone where there is no such page.
   * Simultaneous calls get the same bytes.
   */
  all(): Promise<MetricsPage> {
    this.#all ??= this.#join().finally(() => {
      this.#all = undefined;
    });
    return this.#all;
  }

  async #join(): Promise<MetricsPage> {
    const etcd = await this.#etcd.get('/metrics', METRICS_BOUNDS);
    const own = await this.own();
    if (typeof etcd === 'string') return own;
    const page = Buffer.from(etcd.body);
    const rest = without(own.body as string, familiesOn(page));
    return { ...own, body: Buffer.concat([page, Buffer.from(`${endsLine(page) ? '' : '\n'}${rest}`)]) };
  }
}

/** Counts the fetches of etcd's pages, so that a page without etcd's part can be told from one with it. */
export class PageMetrics implements PageObserver {
  readonly #results = new Map<'ok' | NoPage, number>();

  constructor(registry: Registry) {
    const help = 'Pages of etcd (/health, /metrics) that the proxy fetched, by result.';
    exposeCounts(registry, 'etcd_proxy_etcd_pages_total', help, 'result', () => this.#results);
  }

  onFetched(result: 'ok' | NoPage): void {
    this.#results.set(result, (this.#results.get(result) ?? 0) + 1);
  }
}

const TYPE_LINE = Buffer.from('# TYPE ');
const SPACE = 0x20;
const LINE_FEED = 0x0a;

function endsLine(page: Buffer): boolean {
  return page.length === 0 || page.at(-1) === LINE_FEED;
}

/** The names of the families on a page: one line of their type each. */
function familiesOn(page: Buffer): Set<string> {
  const names = new Set<string>();
  for (let at = page.indexOf(TYPE_LINE); at >= 0; at = page.indexOf(TYPE_LINE, at)) {
    const start = at + TYPE_LINE.length;
    if (at === 0 || page[at - 1] === LINE_FEED) {
      const end = page.indexOf(SPACE, start);
      names.add(page.toString('latin1', start, end < 0 ? page.length : end));
    }
    at = start;
  }
  return names;
}

/** A page of ours without some of its families; each begins with the line of its help. */
function without(page: string, names: ReadonlySet<string>): string {
  const families = page.split(/^(?=# HELP )/m);
  return families.filter((family) => !names.has(/^# HELP (\S+)/.exec(family)?.[1] ?? '')).join('');
}
