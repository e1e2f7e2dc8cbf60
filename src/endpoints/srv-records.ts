/**
 * Endpoints from DNS: SRV records `_etcd-client-ssl._tcp.DOMAIN` and `_etcd-client._tcp.DOMAIN`, as etcd's own tools look for
 * them. Their priorities and weights mean nothing here, as in etcd.
 */
import type { SrvRecord } from 'node:dns';
import { Resolver } from 'node:dns/promises';
import type { Endpoint } from '../net/endpoint.ts';
import {
  causeOf,
  type FoundEndpoints,
  LookFailure,
  type SourceObserver,
  sameEndpoints,
} from './found-endpoints.ts';
import { Looking } from './looking.ts';
import { endpointsOf } from './urls.ts';

/** Where to look, and how often. */
export interface SrvOptions {
  readonly domain: string;
  /** Put behind the service with a dash; empty: nothing is. */
  readonly serviceName: string;
  /** Whether records of endpoints without TLS count. */
  readonly insecure: boolean;
  /** Milliseconds between two looks: Node.js tells no time to live of SRV records. */
  readonly interval: number;
  readonly observer: SourceObserver;
}

/** The records of one kind. */
interface RecordSet {
  readonly scheme: 'http' | 'https';
  readonly name: string;
  /** The last good ones. */
  known: readonly Endpoint[];
}

/** How long a name server has for an answer, in milliseconds, and how often each is asked. */
const ANSWER_MS = 2000;
const TRIES = 2;
/** Milliseconds until a failed look is repeated, the first time. */
const FIRST_RETRY_MS = 1000;

/** What resolvers say where there are no such records. */
const NO_RECORDS: ReadonlySet<unknown> = new Set(['ENOTFOUND', 'ENODATA']);

export class SrvRecords implements FoundEndpoints {
  readonly name = 'discovery-srv';
  endpoints: readonly Endpoint[] = [];
  looked = false;
  readonly #sets: readonly RecordSet[];
  readonly #observer: SourceObserver;
  readonly #looking: Looking;
  #onChanged: () => void = () => {};

  constructor({ domain, serviceName, insecure, interval, observer }: SrvOptions) {
    const set = (scheme: RecordSet['scheme'], service: string): RecordSet => ({
      scheme,
      name: `_${service}${serviceName === '' ? '' : `-${serviceName}`}._tcp.${domain}`,
      known: [],
    });
    const secure = set('https', 'etcd-client-ssl');
    this.#sets = insecure ? [secure, set('http', 'etcd-client')] : [secure];
    this.#observer = observer;
    this.#looking = new Looking({
      name: this.name,
      look: (signal) => this.#look(signal),
      interval,
      retry: { first: Math.min(FIRST_RETRY_MS, interval), longest: interval },
      observer,
    });
  }

  start(onChanged: () => void): void {
    this.#onChanged = onChanged;
    this.#looking.start();
  }

  close(): void {
    this.#looking.close();
  }

  async #look(signal: AbortSignal): Promise<boolean> {
    // A new one each time: the system's name servers may have changed.
    const resolver = new Resolver({ timeout: ANSWER_MS, tries: TRIES });
    const cancel = () => resolver.cancel();
    signal.addEventListener('abort', cancel);
    try {
      const answers = await Promise.all(this.#sets.map(({ name }) => recordsOf(resolver, name)));
      if (!signal.aborted) this.#take(answers);
    } finally {
      signal.removeEventListener('abort', cancel);
      if (!this.looked && !signal.aborted) {
        this.looked = true;
        this.#onChanged();
      }
    }
    return true;
  }

  /** @throws LookFailure when there is nothing to take, or not all */
  #take(answers: readonly (readonly SrvRecord[] | string)[]): void {
    const failures = answers.filter((answer) => typeof answer === 'string');
    const lists = this.#sets.map((set, at) => {
      const answer = answers[at] as readonly SrvRecord[] | string;
      return typeof answer === 'string' ? set.known : answer.flatMap((record) => endpointOf(record, set));
    });
    const endpoints = lists.flat();
    if (endpoints.length > 0) {
      for (const [at, set] of this.#sets.entries()) set.known = lists[at] as readonly Endpoint[];
      this.#use(endpoints);
    }
    if (failures.length > 0) throw new LookFailure(failures.join('; '));
    if (endpoints.length === 0) throw new LookFailure(this.#none());
  }

  #use(endpoints: readonly Endpoint[]): void {
    const changed = !sameEndpoints(this.endpoints, endpoints);
    this.endpoints = endpoints;
    this.#observer.onFound(this.name, endpoints, changed);
    this.looked = true;
    if (changed) this.#onChanged();
  }

  #none(): string {
    const text = `no SRV records ${this.#sets.map(({ name }) => name).join(' and ')}`;
    return this.#sets.length > 1 ? text : `${text}; endpoints without TLS want --insecure-discovery`;
  }
}

/** The records of a name, none where there are none; why they are not known, as a text. Never rejects. */
async function recordsOf(resolver: Resolver, name: string): Promise<readonly SrvRecord[] | string> {
  try {
    return await resolver.resolveSrv(name);
  } catch (error) {
    const cause = causeOf(error);
    return NO_RECORDS.has(cause) ? [] : `${name}: ${cause}`;
  }
}

/** None for a target that says that there is no such service (RFC 2782), or that is no name of a host. */
function endpointOf({ name, port }: SrvRecord, { scheme }: RecordSet): Endpoint[] {
  const host = name.replace(/\.$/, '');
  return host === '' || port === 0 ? [] : endpointsOf([`${scheme}://${host}:${port}`]);
}
