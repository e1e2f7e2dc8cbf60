/**
 * `/version` as etcd answers it: clients choose by it what they may use. It is etcd's own page, which needs no token; where its
 * client port has no pages, `Status` says the version, from which that of the cluster follows unless it is being upgraded.
 */
import { Maintenance } from '../etcd/methods.ts';
import { OWN_METADATA } from '../etcd/own-metadata.ts';
import { versionIn } from '../etcd/release.ts';
import { isRefusedForCredentials } from '../etcd/words.ts';
import type { Services } from '../rpc/contract.ts';
import { OwnCall } from '../rpc/own-call.ts';
import type { EtcdPages, PageBounds } from '../rpc/pages.ts';
import { Code, DEADLINE_EXCEEDED, RpcError } from '../rpc/status.ts';

const BOUNDS: PageBounds = { statuses: [200], type: 'application/json', timeout: 1000, maxBytes: 4096 };
const STATUS_TIMEOUT_MS = 1000;

/** How long an answer is given again, in milliseconds. */
const KEPT_MS = 3000;

const EMPTY = new Uint8Array(0);

/** An answer, and when it was found, in milliseconds of `performance.now()`. */
interface Found {
  readonly body: string;
  readonly at: number;
}

export class EtcdVersion {
  readonly #pages: EtcdPages;
  readonly #services: Services;
  #found: Found | undefined;
  #finding: Promise<string> | undefined;

  constructor(pages: EtcdPages, services: Services) {
    this.#pages = pages;
    this.#services = services;
  }

  /** The page. Simultaneous calls share one. @throws RpcError (rejects) when etcd does not say it */
  body(): Promise<string> {
    const found = this.#found;
    if (found !== undefined && performance.now() - found.at < KEPT_MS) return Promise.resolve(found.body);
    this.#finding ??= this.#find().finally(() => {
      this.#finding = undefined;
    });
    return this.#finding;
  }

  async #find(): Promise<string> {
    const body = (await this.#page()) ?? (await this.#connected());
    this.#found = { body, at: performance.now() };
    return body;
  }

  async #page(): Promise<string | undefined> {
    const page = await this.#pages.get('/version', BOUNDS);
    const body = typeof page === 'string' ? '' : Buffer.from(page.body).toString();
    return /^\s*\{"etcdserver":"/.test(body) ? body : undefined;
  }

  /** `Status` waits for a connection: when it has come back, there may be a page. */
  async #connected(): Promise<string> {
    try {
      const version = await this.#status();
      return (await this.#page()) ?? pageFor(version);
    } catch (error) {
      // Without a token etcd does not say it; it is the one that it was.
      if (!isRefusedForCredentials(RpcError.from(error))) throw error;
      const body = (await this.#page()) ?? this.#found?.body;
      if (body === undefined) throw error;
      return body;
    }
  }

  async #status(): Promise<string> {
    const { path } = Maintenance.Status;
    const until = performance.now() + STATUS_TIMEOUT_MS;
    const call = new OwnCall(this.#services.method(path), OWN_METADATA, until);
    try {
      return versionIn((await call.inTime(this.#services.unary(path)?.(EMPTY, call))) ?? EMPTY);
    } catch (error) {
      throw call.cancelled ? new RpcError(Code.UNAVAILABLE, DEADLINE_EXCEEDED) : error;
    }
  }
}

function pageFor(version: string): string {
  const [major = '', minor = ''] = version.split('.');
  return JSON.stringify({ etcdserver: version, etcdcluster: `${major}.${minor}.0` });
}
