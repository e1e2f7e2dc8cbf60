/**
 * `etcdserverpb.Auth`, as far as the proxy does more than forward it: when users, roles or their permissions change,
 * whoever remembers what clients may do is told, before etcd is asked and again when it has answered. Which user etcd hands
 * a token out to is told as well, and which user's tokens it has dropped.
 */
import { nameIn, tokenIn } from '../etcd/auth-messages.ts';
import { Auth } from '../etcd/methods.ts';
import { isOutage, isRefusal } from '../etcd/statuses.ts';
import type { Call, UnaryUpstream } from '../rpc/contract.ts';
import { forwardLater } from '../rpc/forward.ts';
import type { Metadata } from '../rpc/metadata.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { RpcError } from '../rpc/status.ts';
import type { OwnMethod } from './table.ts';

/** The methods that change who may do what: all but those that only look, and the one that gives out tokens. */
const CHANGES = Object.values(Auth).filter((method) => !method.idempotent && method !== Auth.Authenticate);

/** Those after which the same name may be another user's; etcd drops the tokens of the one before. */
const RENEWALS: ReadonlySet<unknown> = new Set([Auth.UserDelete, Auth.UserChangePassword]);

/** How long it may take to find out whether somebody may change users. Milliseconds. */
const CHECK_MS = 5000;

const NOTHING = new Uint8Array(0);

/** Who hears of what goes through. None of it may throw. */
export interface AuthListener {
  /** Users, roles or their permissions may change, or have changed. */
  onChanged(): void;
  /** A user is gone, or has another password, or may be: etcd did not answer. */
  onUserChanged(user: string): void;
  /** etcd has handed out a token. */
  onToken(user: string, token: string): void;
  /** Whether metadata show a token that was handed out to a user. */
  shows(user: string, metadata: Metadata): boolean;
}

/** The handlers. */
export function authService(upstream: UnaryUpstream, listener: AuthListener): OwnMethod[] {
  const changes = CHANGES.map(
    (method): OwnMethod => ({
      method,
      unary: (request, call) => {
        listener.onChanged();
        const reply = forwardLater(upstream, request, call);
        const told = RENEWALS.has(method)
          ? new Renewal(upstream, request, call, listener).told(reply)
          : reply;
        return told.finally(() => listener.onChanged());
      },
    }),
  );
  const authenticate: OwnMethod = {
    method: Auth.Authenticate,
    unary: async (request, call) => {
      const reply = await forwardLater(upstream, request, call);
      const given = readToken(request, reply);
      if (given !== undefined) listener.onToken(given.user, given.token);
      return reply;
    },
  };
  return [...changes, authenticate];
}

/** A call after which a user may be another one. */
class Renewal {
  readonly #upstream: UnaryUpstream;
  readonly #call: Call;
  readonly #listener: AuthListener;
  readonly #user: string;

  constructor(upstream: UnaryUpstream, request: Uint8Array, call: Call, listener: AuthListener) {
    this.#upstream = upstream;
    this.#call = call;
    this.#listener = listener;
    this.#user = readName(request) ?? '';
  }

  /** Tells whose tokens are dropped, unless etcd has refused that: anybody may ask for it. */
  async told(reply: Promise<Uint8Array>): Promise<Uint8Array> {
    try {
      const done = await reply;
      this.#tell();
      return done;
    } catch (thrown) {
      if (isOutage(RpcError.from(thrown))) void this.#onUnknown();
      throw thrown;
    }
  }

  /** Nobody knows what became of it: anybody can see to that, by a deadline that is too short. */
  async #onUnknown(): Promise<void> {
    if (this.#user !== '' && (await this.#mayHaveDone())) this.#tell();
  }

  /** Whether the caller may change users, as far as etcd can be asked; it lists them for nobody else. */
  async #mayHaveDone(): Promise<boolean> {
    const { metadata } = this.#call;
    // Who changes its own password has lost the token that would be asked with.
    if (this.#listener.shows(this.#user, metadata)) return true;
    const call = new OwnCall(Auth.UserList, metadata, performance.now() + CHECK_MS);
    try {
      await call.inTime(forwardLater(this.#upstream, NOTHING, call));
      return true;
    } catch (thrown) {
      return !isRefusal(RpcError.from(thrown));
    }
  }

  #tell(): void {
    if (this.#user !== '') this.#listener.onUserChanged(this.#user);
  }
}

/** Who a request is about; undefined: etcd makes nothing of it either. */
function readName(request: Uint8Array): string | undefined {
  try {
    return nameIn(request);
  } catch {
    return undefined;
  }
}

/** Whom etcd has given which token; undefined: it cannot be read, which is for the client to find out. */
function readToken(request: Uint8Array, reply: Uint8Array): { user: string; token: string } | undefined {
  try {
    return { user: nameIn(request), token: tokenIn(reply) };
  } catch {
    return undefined;
  }
}
