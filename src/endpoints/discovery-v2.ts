/**
 * The discovery service in etcd's v2 API: below the URL, `_config/size` is how many members the cluster is to have, and each
 * member that has registered is a key (etcd's `Documentation/dev-internal/discovery_protocol.md`, releases up to 3.5).
 */
import type { TlsDialer } from '../upstream/dial.ts';
import { type DiscoveryService, MAX_SIZE, type Registered } from './discovery.ts';
import { LookFailure } from './found-endpoints.ts';
import { type GetTarget, type HttpAnswer, httpGet, jsonOf } from './http-get.ts';
import { endpointsOf } from './urls.ts';

/** The largest answer. */
const MAX_BYTES = 1 << 20;
/** How long the service has for an answer. Milliseconds. */
const ANSWER_MS = 10_000;
/** How long one question for changes is left open. Milliseconds. */
const WAIT_MS = 60_000;

/** A node of the v2 API, as far as it matters here. */
interface Node {
  readonly value?: unknown;
  readonly createdIndex?: unknown;
  readonly nodes?: unknown;
}

export class DiscoveryV2 implements DiscoveryService {
  readonly name = 'discovery';
  readonly #page: GetTarget;
  readonly #tls: TlsDialer;
  /** The service's count of changes at the latest check. */
  #index = 0;

  /** @param url of the cluster at the service, http or https, with a path */
  constructor(url: URL, tls: TlsDialer) {
    const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port;
    const [endpoint] = endpointsOf([`${url.protocol}//${url.hostname}:${port}`]);
    if (endpoint === undefined) throw new Error('a URL has a host');
    this.#page = { endpoint, path: url.pathname.replace(/\/+$/, ''), authorization: authorizationOf(url) };
    this.#tls = tls;
  }

  async check(signal: AbortSignal): Promise<Registered> {
    const size = sizeIn(nodeOf(await this.#get('/_config/size', signal, ANSWER_MS), this.#page));
    const answer = await this.#get('', signal, ANSWER_MS);
    this.#index = Number(answer.headers['x-etcd-index'] ?? 0) || 0;
    const { nodes } = nodeOf(answer, this.#page);
    const members = (Array.isArray(nodes) ? nodes : []).flatMap((node: Node | null) => {
      const { value, createdIndex } = node ?? {};
      return typeof value === 'string' ? [{ value, created: Number(createdIndex) }] : [];
    });
    return { size, members };
  }

  async changed(signal: AbortSignal): Promise<void> {
    const query = `?wait=true&recursive=true&waitIndex=${this.#index + 1}`;
    const late = AbortSignal.timeout(WAIT_MS);
    try {
      // Whatever comes, the next check finds out; so it does when the service has forgotten that index.
      await this.#ask(query, AbortSignal.any([signal, late]));
    } catch (error) {
      if (!late.aborted) throw error;
    }
  }

  close(): void {
    // Each question has a connection of its own.
  }

  async #get(below: string, signal: AbortSignal, ms: number): Promise<HttpAnswer> {
    const answer = await this.#ask(below, AbortSignal.any([signal, AbortSignal.timeout(ms)]));
    const { name } = this.#page.endpoint;
    if (answer.status === 404) throw new LookFailure(`${name}: no cluster of this token`);
    if (answer.status !== 200) throw new LookFailure(`${name}: status ${answer.status}`);
    return answer;
  }

  #ask(below: string, signal: AbortSignal): Promise<HttpAnswer> {
    const path = `${this.#page.path}${below}`;
    return httpGet({ ...this.#page, path }, { tls: this.#tls, maxBytes: MAX_BYTES, signal });
  }
}

/** The user in a URL, as RFC 7617 sends it; what is not well escaped there means itself, as in browsers. */
function authorizationOf({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  const octets = `${username}:${password}`.replace(/%([\da-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return `Basic ${Buffer.from(octets, 'latin1').toString('base64')}`;
}

function nodeOf(answer: HttpAnswer, page: GetTarget): Node {
  const json = jsonOf(answer, page) as { readonly node?: Node | null } | null;
  if (json?.node === undefined || json.node === null)
    throw new LookFailure(`${page.endpoint.name}: the answer is none of etcd's v2 API`);
  return json.node;
}

function sizeIn({ value }: Node): number {
  return sizeOf(typeof value === 'string' ? value : '');
}

/** A cluster's size as the service says it. @throws LookFailure */
export function sizeOf(text: string): number {
  const size = /^\s*\d{1,9}\s*$/.test(text) ? Number(text) : 0;
  if (size < 1 || size > MAX_SIZE) throw new LookFailure(`the cluster's size is none from 1 to ${MAX_SIZE}`);
  return size;
}
