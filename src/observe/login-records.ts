/** Users in etcd that the proxy signs in, itself and for clients: how often it did, and why it could not. */
import { Counter, type Registry } from '@prometheus-io/client';
import type { LoginObserver } from '../clients/login.ts';
import type { RpcError } from '../rpc/status.ts';
import type { Logger } from './log.ts';
import { QUIET_MS, Throttles } from './throttle.ts';

/** Counts and logs. */
export class LoginRecords {
  /** Of the proxy's own user. */
  readonly own: LoginObserver;
  /** Of users that clients are by their certificates. */
  readonly clients: LoginObserver;

  constructor(registry: Registry, log: Logger) {
    const attempts = new Counter({
      name: 'etcd_proxy_sign_ins_total',
      help: 'Times that the proxy signed in to etcd, as a user of its own or of clients with certificates, by result (ok or failed).',
      labelNames: ['user', 'result'],
      registers: [registry],
    });
    this.own = new Records('own', "the proxy's own user cannot sign in to etcd", attempts, log);
    this.clients = new Records('client', 'a user of clients with certificates cannot sign in', attempts, log);
  }
}

class Records implements LoginObserver {
  readonly #user: string;
  readonly #text: string;
  readonly #attempts: Counter<'user' | 'result'>;
  readonly #log: Logger;
  /** By the reason. */
  readonly #throttles = new Throttles(QUIET_MS);

  constructor(user: string, text: string, attempts: Counter<'user' | 'result'>, log: Logger) {
    this.#user = user;
    this.#text = text;
    this.#attempts = attempts;
    this.#log = log;
  }

  onSignedIn(): void {
    this.#attempts.inc({ user: this.#user, result: 'ok' });
  }

  onFailed({ message }: RpcError): void {
    this.#attempts.inc({ user: this.#user, result: 'failed' });
    this.#throttles.line(message, (suppressed) =>
      this.#log.warn({ reason: message, suppressed }, this.#text),
    );
  }
}
