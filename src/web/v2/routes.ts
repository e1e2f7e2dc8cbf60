/**
 * START HERE. etcd's v2 API, `/v2/...`: requests go to a member as they are, and answers come back as they come.
 *
 *   director.ts           which members, in which order
 *   forwarded-request.ts  one request: one member after the other
 *   attempt.ts            one request to one member       agents.ts          the connections
 *   headers.ts            which fields go on              forwarded-body.ts  what the client sends
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { clientOf } from '../../rpc/client.ts';
import type { CallObserver } from '../../rpc/observer.ts';
import { RpcError } from '../../rpc/status.ts';
import type { BrowserGuard } from '../browser-guard.ts';
import { queryOf } from '../long-targets.ts';
import { refuseBrowser } from '../refusals.ts';
import type { RequestMemory } from '../request-memory.ts';
import { MemberAgents } from './agents.ts';
import { Director } from './director.ts';
import { readBody } from './forwarded-body.ts';
import { answerWith, ForwardedRequest, LOOP_DETECTED, type Road, SAFE_METHODS } from './forwarded-request.ts';
import { type Fields, hasComeAround, isCoded, requestFields } from './headers.ts';
import type { V2Options } from './options.ts';

/** Requests that are forwarded at a time, most of which wait for events. */
const MAX_FORWARDED = 10_000;

/** Where the proxy says which members it has. */
const CONFIG = '/v2/config/local/proxy';

/** Whether a target has `wait=true`, of whichever value: etcd refuses what is none. Names may be percent-encoded. */
function waits(target: string): boolean {
  return new URLSearchParams(queryOf(target)).has('wait');
}

/** What it has of the web door. */
interface Surroundings {
  readonly memory: RequestMemory;
  readonly guard: BrowserGuard;
  readonly observer: Pick<CallObserver, 'onFault'>;
}

export class V2 {
  readonly #options: V2Options;
  readonly #memory: RequestMemory;
  readonly #guard: BrowserGuard;
  readonly #observer: Surroundings['observer'];
  readonly #road: Road;
  readonly #open = new Set<ForwardedRequest>();

  constructor(options: V2Options, { memory, guard, observer }: Surroundings) {
    this.#options = options;
    this.#memory = memory;
    this.#guard = guard;
    this.#observer = observer;
    const agents = new MemberAgents();
    const director = new Director(options, (members) => agents.keepOnly(members));
    this.#road = { options, director, agents };
  }

  /** Serves them, past all that Fastify does with bodies. */
  addTo(app: FastifyInstance): void {
    const onRequest = (request: FastifyRequest, reply: FastifyReply): void => this.#take(request, reply);
    const never = (): void => {};
    for (const path of ['/v2', '/v2/*']) app.all(path, { onRequest }, never);
  }

  /** Ends what waits for events. */
  endWaits(): void {
    for (const forwarding of this.#open) forwarding.endWait();
  }

  /** Closes the connections to members. */
  close(): void {
    this.#road.agents.close();
  }

  #take({ raw }: FastifyRequest, reply: FastifyReply): void {
    const foreign = this.#guard.foreignHost(raw);
    if (foreign !== undefined) {
      refuseBrowser(reply, foreign);
      return;
    }
    const own = fieldsOf(reply);
    const response = reply.hijack().raw;
    this.#serve(raw, response, own).catch((error: unknown) => {
      // A target or a field that Node.js reads and does not write.
      const isMalformed = String((error as NodeJS.ErrnoException).code).startsWith('ERR_');
      if (!isMalformed) this.#observer.onFault(error);
      const [status, message] = isMalformed
        ? ([400, 'malformed request'] as const)
        : ([500, 'internal error'] as const);
      if (response.headersSent) response.destroy();
      else answerWith(response, status, { message: `httpproxy: ${message}` }, own);
    });
    // What is left of a request is read, or its client waits for ever to send it.
    response.once('close', () => raw.complete || raw.resume());
  }

  async #serve(raw: IncomingMessage, response: ServerResponse, own: Fields): Promise<void> {
    const { readOnly, observer } = this.#options;
    const { method = 'GET', url: target = '/' } = raw;
    const client = clientOf(raw.socket);
    const refuse = (status: number, message: string): void => answerWith(response, status, { message }, own);
    if (client.namespace !== '')
      return refuse(501, 'etcd-connect-proxy: /v2 is not served within a namespace');
    if (readOnly && method !== 'GET') {
      response.writeHead(501, [...own, 'Content-Length', '0']).end();
      return;
    }
    if (target.split('?', 1)[0] === CONFIG) return this.#tellMembers(method, response, own);
    observer.onRequest(method);
    if (hasComeAround(raw))
      return refuse(LOOP_DETECTED, 'etcd-connect-proxy: an endpoint leads back to this proxy');
    // Its coding belongs to the connection, and only the client and the proxy would know of it.
    if (isCoded(raw)) return refuse(501, 'etcd-connect-proxy: no transfer coding but chunked is understood');
    if (this.#open.size >= MAX_FORWARDED) {
      observer.onDropped(method, 'too_many_requests');
      return refuse(503, 'etcd-connect-proxy: too many requests are under way');
    }
    const body = await readBody(raw, this.#memory.of(raw), SAFE_METHODS.has(method)).catch(
      (error: unknown) => {
        if (error instanceof RpcError) return error;
        throw error;
      },
    );
    if (body instanceof RpcError)
      return refuse(500, `httpproxy: failed to read request body: ${body.message}`);
    if (response.destroyed) return;
    const fields = requestFields(raw, hostOf(client.address));
    const message = { method, target, fields, body, waits: waits(target) };
    const forwarding = new ForwardedRequest(message, response, own, this.#road);
    this.#open.add(forwarding);
    response.once('close', () => this.#open.delete(forwarding));
    forwarding.start();
  }

  #tellMembers(method: string, response: ServerResponse, own: Fields): void {
    if (method === 'GET') {
      const endpoints = this.#road.director.available().map(({ url }) => url);
      answerWith(response, 200, { endpoints }, own);
      return;
    }
    const allow = ['Allow', 'GET', 'Content-Type', 'text/plain; charset=utf-8'];
    response.writeHead(405, [...allow, ...own]).end('Method Not Allowed\n');
  }
}

/** What else belongs to the answer: leave for pages of other origins, and the end of the connection. */
function fieldsOf(reply: FastifyReply): Fields {
  return Object.entries(reply.getHeaders()).flatMap(([name, value]) =>
    value === undefined ? [] : [name, Array.isArray(value) ? value.join(', ') : String(value)],
  );
}

/** The host of an address, as Go writes it in `X-Forwarded-For`. */
function hostOf(address: string): string {
  const host = address.slice(0, Math.max(0, address.lastIndexOf(':')));
  return host.replace(/^\[|\]$/g, '').replace(/^::ffff:(?=\d+\.)/, '');
}
