/** Users in etcd that the proxy is: how often it signed in, and why it could not. */
import { Counter, type Registry } from '@prometheus-io/client';
import type { LoginObserver } from '../clients/login.ts';
import type { RpcError } from '../rpc/status.ts';
import type { Logger } from './log.ts';
import { QUIET_MS, Throttles } from './throttle.ts';

/** Counts and logs. */
export class LoginRecords implements LoginObserver {
  readonly #log: Logger;
  readonly #attempts: Counter<'result'>;
  /** By the reason. */
  readonly #throttles = new Throttles(QUIET_MS);

  constructor(registry: Registry, log: Logger) {
    this.#log = log;
    this.#attempts = new Counter({
      name: 'etcd_proxy_sign_ins_total',
      help: 'Times that the proxy signed in to etcd as a user of its own, by result (ok or failed).',
      labelNames: ['result'],
      registers: [registry],
    });
  }

  onSignedIn(): void {
    this.#attempts.inc({ result: 'ok' });
  }

  onFailed({ message }: RpcError): void {
    this.#attempts.inc({ result: 'failed' });
    this.#throttles.line(message, (suppressed) =>
      this.#log.warn({ reason: message, suppressed }, "the proxy's own user cannot sign in to etcd"),
    );
  }
}
