/**
 * START HERE. The services within a namespace: to their clients it appears as if there were no prefix at all, and what is
 * below them knows full keys only.
 *
 *   client ─▶ NamespacedServices ─▶ Translator ─▶ KeyRewriting: a request with the prefix ─▶ services below
 *          ◀────────────────────────────────────── a reply without it ◀──────────────────────────┘
 */
import { REPLY_FIELDS, REQUEST_FIELDS } from '../etcd/key-fields.ts';
import { Auth, ETCD_METHODS } from '../etcd/methods.ts';
import { ChangedPermissions } from '../etcd/role-permissions.ts';
import { unknownMethodText } from '../etcd/words.ts';
import type { Services, StreamHandler, UnaryHandler } from '../rpc/contract.ts';
import type { Method } from '../rpc/method.ts';
import { Code, RpcError } from '../rpc/status.ts';
import { browserService } from '../services/browser.ts';
import { Health } from '../services/health.ts';
import type { LeasesWithin } from './leases-within.ts';
import { namespacedStream } from './namespaced-stream.ts';
import { namespacedUnary, withReplies } from './namespaced-unary.ts';
import { Prefix } from './prefix.ts';
import { rangeWithin } from './role-view.ts';
import { NamespaceStats } from './stats.ts';
import { Translator } from './translator.ts';

export class NamespacedServices implements Services {
  readonly #below: Services;
  readonly #stats: NamespaceStats;
  readonly #unary = new Map<string, UnaryHandler>();
  readonly #streams = new Map<string, StreamHandler>();

  /**
   * @param services those on full keys, complete
   * @param prefix what every key begins with; at least one byte
   * @param leases that puts, locks and elections may name; without them any
   */
  constructor(services: Services, prefix: Uint8Array, stats = new NamespaceStats(), leases?: LeasesWithin) {
    this.#below = services;
    this.#stats = stats;
    const translator = new Translator(new Prefix(prefix), stats, leases);
    for (const method of ETCD_METHODS) this.#add(method, translator);
    for (const method of Object.values(Health)) this.#add(method, translator);
    for (const own of browserService(this)) {
      if ('unary' in own) this.#unary.set(own.method.path, own.unary);
      else this.#streams.set(own.method.path, own.stream);
    }
  }

  method(path: string): Method {
    return this.#below.method(path);
  }

  unary(path: string): UnaryHandler | undefined {
    return this.#unary.get(path);
  }

  stream(path: string): StreamHandler {
    return this.#streams.get(path) ?? this.#refuse;
  }

  /** A method that nobody here knows may carry keys. */
  readonly #refuse: StreamHandler = (client, { method }) => {
    this.#stats.unknown++;
    client.end(new RpcError(Code.UNIMPLEMENTED, unknownMethodText(method.path)));
  };

  #add(method: Method, translator: Translator): void {
    const { path } = method;
    const translation = { request: REQUEST_FIELDS.get(method), reply: REPLY_FIELDS.get(method), translator };
    const unary = this.#below.unary(path);
    if (method === Auth.RoleGet && unary !== undefined) this.#unary.set(path, roleGet(unary, translator));
    else if (unary !== undefined) this.#unary.set(path, namespacedUnary(unary, translation));
    else this.#streams.set(path, namespacedStream(this.#below.stream(path), translation));
  }
}

/** A role is shown with what it allows within. */
function roleGet(below: UnaryHandler, { prefix, turns }: Translator): UnaryHandler {
  return withReplies(below, (reply) =>
    turns.run(new ChangedPermissions(reply, (range) => rangeWithin(range, prefix))),
  );
}
