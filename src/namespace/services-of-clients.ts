/** One door for several namespaces: a call is served by the services of the namespace that its client came in to. */
import { ITSELF } from '../rpc/client.ts';
import type { Call, Services, StreamHandler, UnaryHandler } from '../rpc/contract.ts';
import type { Method } from '../rpc/method.ts';

export class ServicesOfClients implements Services {
  /** Of which the methods are known: all have the same. */
  readonly #any: Services;
  readonly #namespaces: ReadonlyMap<string, Services>;
  /** Those of known methods that were called. */
  readonly #unary = new Map<string, UnaryHandler>();

  /** @param namespaces by their prefix; the empty one, if it is there, is for clients that came in to none */
  constructor(namespaces: ReadonlyMap<string, Services>) {
    const [any] = namespaces.values();
    if (any === undefined) throw new Error('there is no namespace');
    this.#any = any;
    this.#namespaces = namespaces;
  }

  method(path: string): Method {
    return this.#any.method(path);
  }

  unary(path: string): UnaryHandler | undefined {
    let handler = this.#unary.get(path);
    if (handler !== undefined || this.#any.unary(path) === undefined) return handler;
    handler = (request, call) => this.#unaryOf(path, call)(request, call);
    this.#unary.set(path, handler);
    return handler;
  }

  stream(path: string): StreamHandler {
    return (client, call) => this.#of(call).stream(path)(client, call);
  }

  #unaryOf(path: string, call: Call): UnaryHandler {
    const handler = this.#of(call).unary(path);
    if (handler === undefined) throw new Error(`a namespace does not know ${path}`);
    return handler;
  }

  /** A call that came in nowhere is served by none: of all mistakes, the one that opens every namespace. */
  #of({ client }: Call): Services {
    const services = client === ITSELF ? undefined : this.#namespaces.get(client.namespace);
    if (services === undefined) throw new Error('a call without a listener');
    return services;
  }
}
