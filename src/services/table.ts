/**
 * The table of what the proxy does with each method. Every method of etcd is forwarded one to one, and an unknown
 * one too, as bytes, unless a handler is given that does better; the proxy's own services stand beside them.
 */
import { ETCD_METHODS, unknownMethod } from '../etcd/methods.ts';
import type { Services, StreamHandler, UnaryHandler, Upstream } from '../rpc/contract.ts';
import { forwardStream, forwardUnary } from '../rpc/forward.ts';
import type { Method } from '../rpc/method.ts';

/** A method with a handler of its own: of the proxy's services, or in place of forwarding. */
export type OwnMethod =
  | { readonly method: Method; readonly unary: UnaryHandler }
  | { readonly method: Method; readonly stream: StreamHandler };

/** All methods the proxy serves. */
export class ServiceTable implements Services {
  readonly #methods = new Map<string, Method>();
  readonly #unary = new Map<string, UnaryHandler>();
  readonly #streams = new Map<string, StreamHandler>();
  readonly #forward: StreamHandler;

  /** Forwards every method of etcd. */
  constructor(upstream: Upstream) {
    this.#forward = forwardStream(upstream);
    const unary = forwardUnary(upstream);
    for (const method of ETCD_METHODS) {
      this.#methods.set(method.path, method);
      if (method.kind === 'unary') this.#unary.set(method.path, unary);
    }
  }

  /** Serves methods in another way than by forwarding. */
  add(own: readonly OwnMethod[]): void {
    for (const entry of own) {
      this.#methods.set(entry.method.path, entry.method);
      if ('unary' in entry) this.#unary.set(entry.method.path, entry.unary);
      else this.#streams.set(entry.method.path, entry.stream);
    }
  }

  method(path: string): Method {
    return this.#methods.get(path) ?? unknownMethod(path);
  }

  /** Every known method. */
  methods(): Iterable<Method> {
    return this.#methods.values();
  }

  unary(path: string): UnaryHandler | undefined {
    return this.#unary.get(path);
  }

  stream(path: string): StreamHandler {
    return this.#streams.get(path) ?? this.#forward;
  }
}
