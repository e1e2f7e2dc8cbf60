/**
 * The web door: one Fastify instance for gRPC-Web and Connect, health and metrics. HTTP/1.1 connections come to
 * it through `http`, HTTP/2 streams that are not gRPC through the bridge.
 */
import {
  type IncomingMessage,
  METHODS,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import fastifyCors from '@fastify/cors';
import Fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import { RpcError } from '../rpc/status.ts';
import { BrowserGuard } from './browser-guard.ts';
import { CONNECT_HEADERS, CONNECT_METHODS } from './connect/cors.ts';
import { addConnectRoutes } from './connect/routes.ts';
import { GatewayRequests } from './gateway/gateway-requests.ts';
import { addGatewayRoutes, servePastHooks } from './gateway/routes.ts';
import { addVersion } from './gateway/version.ts';
import { WebSockets } from './gateway/websocket.ts';
import { Connections, createHttp1Server, refuseUnreadable } from './http1.ts';
import { KEY_HEADERS, KEY_METHODS } from './kv/cors.ts';
import { addKeyRoutes } from './kv/routes.ts';
import { routeOf } from './kv/target.ts';
import { routable } from './long-targets.ts';
import { DEFAULT_LIMITS, type WebLimits, type WebServerOptions } from './options.ts';
import { addPages } from './pages.ts';
import { hasLongType, isGrpc, refuseBrowser, refuseGrpc, refuseLongType, refuseUnknown } from './refusals.ts';
import { RequestMemory } from './request-memory.ts';
import { V2 } from './v2/routes.ts';
import { WriteTimeouts } from './write-timeouts.ts';

export type { WebServerOptions } from './options.ts';

/** The web door. `await app.ready()` before its first connection. */
export class WebServer {
  readonly app: FastifyInstance;
  /** Serves the sockets that are given to it as `connection` events. */
  readonly http: Server;
  /** What is held for its requests. */
  readonly memory: RequestMemory;
  readonly #connections: Connections;
  readonly #webSockets: WebSockets | undefined;
  readonly #gateway: GatewayRequests | undefined;
  readonly #v2: V2 | undefined;
  #draining = false;

  constructor(options: WebServerOptions) {
    this.memory = new RequestMemory(options.ledger);
    const guard = new BrowserGuard(options);
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    const { memory } = this;
    const { maxUnreadBytes } = limits;
    const webSockets =
      options.pagesOnly === true
        ? undefined
        : new WebSockets({ serving: { options, maxUnreadBytes }, guard, memory });
    this.#webSockets = webSockets;
    const gateway = options.pagesOnly === true ? undefined : new GatewayRequests(options, limits, memory);
    this.#gateway = gateway;
    const { observer, v2 } = options;
    if (v2 !== undefined && options.pagesOnly !== true) this.#v2 = new V2(v2, { memory, guard, observer });
    this.app = Fastify({
      logger: false,
      exposeHeadRoutes: false,
      clientErrorHandler: refuseUnreadable,
      rewriteUrl: ({ url = '' }) => routeOf(url) ?? routable(url),
      // Whoever reads a query reads it by itself.
      routerOptions: { querystringParser: noQuery },
      schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
      serverFactory: (handler) =>
        createHttp1Server(this.#pastHooks(handler), limits, memory, webSockets, () => this.#onAnswered()),
    });
    this.http = this.app.server;
    this.#connections = new Connections(this.http);
    new WriteTimeouts(limits.writeTimeout, options.onLimit).watch(this.http);
    addGround(this.app, options, guard);
    this.#addDraining();
    addPages(this.app, options);
    if (gateway !== undefined) this.#addCalls(options, limits, guard, gateway);
    addTypes(this.app);
  }

  #addCalls(
    options: WebServerOptions,
    limits: WebLimits,
    guard: BrowserGuard,
    gateway: GatewayRequests,
  ): void {
    const { memory } = this;
    const { maxUnreadBytes, heartbeatMs } = limits;
    addConnectRoutes(this.app, options, limits, memory, guard);
    addVersion(this.app, options);
    addGatewayRoutes(this.app, gateway);
    addKeyRoutes(this.app, { options, memory, maxUnreadBytes, heartbeatMs }, guard);
    this.#v2?.addTo(this.app);
  }

  /**
   * Ends the connections that wait for a request, and the others when they have answered theirs. Settles when
   * all are closed; after `ms` milliseconds whatever still runs is broken off.
   */
  async drain(ms: number): Promise<void> {
    this.#draining = true;
    this.#webSockets?.close();
    this.#v2?.endWaits();
    this.#connections.closeIdle();
    await this.#connections.closed(ms);
    this.close();
  }

  /** Closes every connection at once. */
  close(): void {
    this.#connections.close();
    this.#v2?.close();
    this.memory.close();
  }

  #addDraining(): void {
    this.app.addHook('onRequest', (_request, reply, done) => {
      if (this.#draining) reply.header('connection', 'close');
      done();
    });
  }

  /** Requests that the hooks have nothing to say of need not go through them. */
  #pastHooks(hooks: RequestListener): RequestListener {
    return (request: IncomingMessage, response: ServerResponse) => {
      const gateway = this.#draining ? undefined : this.#gateway;
      if (gateway === undefined || !servePastHooks(gateway, request, response)) hooks(request, response);
    };
  }

  #onAnswered(): void {
    if (this.#draining) this.#connections.closeIdle();
  }
}

/** Makes the web door. */
export function createWebServer(options: WebServerOptions): WebServer {
  return new WebServer(options);
}

/** No route has a schema, so the compilers of schemas, which are the larger half of Fastify, are not read. */
function noSchemas(): never {
  throw new Error('no route has a schema');
}

function noQuery(): Record<string, never> {
  return {};
}

/** What is common to all routes. */
function addGround(app: FastifyInstance, options: WebServerOptions, guard: BrowserGuard): void {
  // Of its own accord Fastify knows few methods, and routes for all of them have their answer for these too. QUERY would be asked for a type.
  for (const method of METHODS)
    if (method === 'QUERY') app.addHttpMethod(method, { overrideExisting: true });
    else if (!app.supportedMethods.includes(method)) app.addHttpMethod(method);
  // Bodies are left to whoever serves the route.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
  app.addHook('onRequest', (request, reply, done) => {
    const refusal = guard.refusal(request.raw);
    if (refusal !== undefined) refuseBrowser(reply, refusal);
    else done();
  });
  if (options.corsAllowedOrigins.length > 0) addCors(app, options.corsAllowedOrigins);
  app.setNotFoundHandler(refuseUnknown);
  app.setErrorHandler((error: FastifyError, _request, reply) => {
    // A large reply of etcd that turned out to be no message before anything of it was sent.
    if (error instanceof RpcError)
      return reply
        .removeHeader('content-encoding')
        .code(500)
        .type('application/json')
        .send({ code: 'internal', message: error.message });
    const { statusCode = 500, message } = error;
    if (statusCode < 500) return reply.code(statusCode).send({ code: 'invalid_argument', message });
    // A response that breaks off because its client has gone is no fault.
    if (!reply.raw.destroyed) options.observer.onFault(error);
    return reply.code(statusCode).send({ code: 'internal', message: 'internal error' });
  });
}

/** Refuses types of content that nothing takes. After the hooks of routes that take any, and take it away. */
function addTypes(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    if (hasLongType(request)) refuseLongType(reply);
    else if (isGrpc(request)) refuseGrpc(reply);
    else done();
  });
}

/**
 * Lets pages of other origins call. They may send every header that their browser asks about, so that any
 * metadata key can be sent, and see every header of the answer, for which the wildcard stands where no
 * credentials are allowed.
 */
function addCors(app: FastifyInstance, origins: readonly string[]): void {
  app.register(fastifyCors, {
    origin: origins.includes('*') ? '*' : [...origins],
    methods: [...new Set([...CONNECT_METHODS, ...KEY_METHODS])],
    exposedHeaders: [...CONNECT_HEADERS, ...KEY_HEADERS, '*'],
    maxAge: 7200,
  });
}
