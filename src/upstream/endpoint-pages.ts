/**
 * Fetches pages of etcd's own HTTP/1.1 server at the endpoint in use, over a connection beside those for calls. Not
 * every etcd has that server on its client port (`--listen-client-http-urls` moves it elsewhere).
 */
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Endpoint } from '../net/endpoint.ts';
import type { EtcdPage, EtcdPages, NoPage, PageBounds } from '../rpc/pages.ts';
import type { TlsDialer } from './dial.ts';
import { dialHttp1 } from './dial-http1.ts';
import { Patience } from './patience.ts';

/** Is told how each fetch went. */
export interface PageObserver {
  onFetched(result: 'ok' | NoPage): void;
}

/** Where pages come from. */
export interface PagesOptions {
  /** The endpoint in use, if there is one. */
  readonly endpoint: () => Endpoint | undefined;
  readonly tls: TlsDialer;
  readonly observer: PageObserver;
}

/** Connections to one endpoint for pages. */
const MAX_CONNECTIONS = 4;

/** How long a connection is kept for the next page, in milliseconds: longer than most monitors wait between two. */
const IDLE_MS = 65_000;

/** Newer releases of etcd would choose among formats; this one they all have. */
const PLAIN_TEXT = 'text/plain;version=0.0.4';

/** {@link EtcdPages} of the endpoint in use. */
export class EndpointPages implements EtcdPages {
  readonly #options: PagesOptions;
  readonly #under = new Map<string, Promise<EtcdPage | NoPage>>();
  #connections: PageConnections | undefined;

  constructor(options: PagesOptions) {
    this.#options = options;
  }

  get(path: string, bounds: PageBounds): Promise<EtcdPage | NoPage> {
    let fetch = this.#under.get(path);
    if (fetch === undefined) {
      fetch = this.#fetch(path, bounds).finally(() => this.#under.delete(path));
      this.#under.set(path, fetch);
    }
    return fetch;
  }

  /** Closes the connections. */
  close(): void {
    this.#connections?.destroy();
    this.#connections = undefined;
  }

  async #fetch(path: string, bounds: PageBounds): Promise<EtcdPage | NoPage> {
    const endpoint = this.#options.endpoint();
    const result = endpoint === undefined ? 'not_connected' : await this.#ask(endpoint, path, bounds);
    this.#options.observer.onFetched(typeof result === 'string' ? result : 'ok');
    return result;
  }

  #ask(endpoint: Endpoint, path: string, bounds: PageBounds): Promise<EtcdPage | NoPage> {
    if (this.#connections?.endpoint !== endpoint) {
      this.close();
      this.#connections = new PageConnections(endpoint, this.#options.tls);
    }
    const connections = this.#connections;
    return new Promise((resolve) => new PageRequest(connections, path, bounds, resolve).start());
  }
}

/** The connections to one endpoint. */
class PageConnections extends Agent {
  readonly endpoint: Endpoint;
  readonly #tls: TlsDialer;

  constructor(endpoint: Endpoint, tls: TlsDialer) {
    super({ keepAlive: true, maxSockets: MAX_CONNECTIONS, maxFreeSockets: 1, timeout: IDLE_MS });
    this.endpoint = endpoint;
    this.#tls = tls;
  }

  override createConnection(): Socket {
    return dialHttp1(this.endpoint, this.#tls);
  }
}

/** One fetch, which ends once. */
class PageRequest {
  readonly #connections: PageConnections;
  readonly #path: string;
  readonly #bounds: PageBounds;
  readonly #patience: Patience;
  #resolve: ((result: EtcdPage | NoPage) => void) | undefined;
  #abandon: () => void = () => {};

  constructor(
    connections: PageConnections,
    path: string,
    bounds: PageBounds,
    resolve: (result: EtcdPage | NoPage) => void,
  ) {
    this.#connections = connections;
    this.#path = path;
    this.#bounds = bounds;
    this.#resolve = resolve;
    this.#patience = new Patience(bounds.timeout, () => this.#settle('timeout'));
  }

  start(): void {
    const request = httpRequest({
      agent: this.#connections,
      path: this.#path,
      setHost: false,
      headers: {
        host: this.#connections.endpoint.authority,
        accept: PLAIN_TEXT,
        'accept-encoding': 'identity',
      },
    });
    this.#abandon = () => request.destroy();
    request.on('response', (response) => this.#read(response));
    request.on('error', () => {
      // etcd may have closed a connection that was kept since the last page.
      if (request.reusedSocket && this.#resolve) this.start();
      else this.#settle('unreachable');
    });
    request.end();
  }

  #read(response: IncomingMessage): void {
    const { statusCode = 0, headers } = response;
    const { statuses, type = 'text/plain' } = this.#bounds;
    const known = statuses.includes(statusCode);
    if (!known || !headers['content-type']?.startsWith(type)) {
      this.#settle('unexpected');
      return;
    }
    const chunks: Buffer[] = [];
    let size = 0;
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > this.#bounds.maxBytes) this.#settle('too_large');
    });
    response.on('end', () => this.#settle({ status: statusCode, body: Buffer.concat(chunks, size) }));
    response.on('error', () => this.#settle('unreachable'));
  }

  #settle(result: EtcdPage | NoPage): void {
    const resolve = this.#resolve;
    if (resolve === undefined) return;
    this.#resolve = undefined;
    this.#patience.end();
    if (typeof result === 'string') this.#abandon();
    resolve(result);
  }
}
