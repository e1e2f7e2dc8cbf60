/**
 * `/health` as etcd answers it, alarms included: etcd's own page, which needs no token. Where its client port has no
 * pages, a linearizable read stands for it.
 */
import type { EtcdPage, EtcdPages, HealthReport, NoPage, PageBounds } from '../rpc/pages.ts';
import { DEADLINE_EXCEEDED } from '../rpc/status.ts';

const BOUNDS: PageBounds = { statuses: [200, 503], timeout: 1000, maxBytes: 64 * 1024 };

/** The alarms that etcd leaves out of account when asked to; it ignores other names. So there are few different pages. */
const ALARMS = ['NOSPACE', 'CORRUPT'] as const;

export class EtcdHealth {
  readonly #pages: EtcdPages;
  readonly #read: () => Promise<HealthReport>;

  /** @param read the check where there is no page; never rejects */
  constructor(pages: EtcdPages, read: () => Promise<HealthReport>) {
    this.#pages = pages;
    this.#read = read;
  }

  /** The page for the query of a request, or what stands for it. Never rejects. */
  async check(query: URLSearchParams): Promise<EtcdPage | HealthReport> {
    const path = pathFor(query);
    const page = await this.#pages.get(path, BOUNDS);
    if (page !== 'not_connected') return this.#judge(page);
    const read = await this.#read();
    // The read waits for a connection: when it came back, there may be a page, and alarms on it.
    return read.health ? this.#judge(await this.#pages.get(path, BOUNDS)) : read;
  }

  #judge(page: EtcdPage | NoPage): EtcdPage | HealthReport | Promise<HealthReport> {
    if (page === 'timeout') return { health: false, reason: `GET ERROR:${DEADLINE_EXCEEDED}` };
    return typeof page !== 'string' && isHealth(page.body) ? page : this.#read();
  }
}

/** `serializable` and `exclude` are what etcd looks at. */
function pathFor(query: URLSearchParams): string {
  const excluded = query.getAll('exclude');
  const asked = ALARMS.filter((alarm) => excluded.includes(alarm)).map((alarm) => `exclude=${alarm}`);
  if (query.get('serializable') === 'true') asked.push('serializable=true');
  return asked.length === 0 ? '/health' : `/health?${asked.join('&')}`;
}

/** Whether bytes are etcd's word, and not the page of something in front of it. */
function isHealth(body: Uint8Array): boolean {
  return /^\s*\{"health":"(?:true|false)"/.test(Buffer.from(body).toString('latin1', 0, 64));
}
