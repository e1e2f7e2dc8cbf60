/**
 * TLS in numbers and log lines: handshakes with clients by their end (a revoked certificate, for one), connections
 * that speak the wrong thing, reloads, and when the certificates in use expire.
 */
import { Counter, Gauge, type Registry } from '@prometheus-io/client';
import type { WrongTransport } from '../listen/wrong-transport.ts';
import type { HandshakeFailure } from '../tls/handshake-failure.ts';
import type { ReloadObserver } from '../tls/reloading.ts';
import type { TlsSide } from '../tls/settings.ts';
import type { HandshakeObserver } from '../tls/terminator.ts';
import type { Logger } from './log.ts';
import { QUIET_MS, Throttles } from './throttle.ts';

/** Counts and logs handshakes, reloads and wrong transports. */
export class TlsRecords implements HandshakeObserver, ReloadObserver {
  readonly #log: Logger;
  readonly #done: Counter;
  readonly #failed: Counter<'reason'>;
  readonly #wrong: Counter<'spoken'>;
  readonly #reloads: Counter<'side' | 'result'>;
  readonly #expiry: Gauge<'side'>;
  /** By the reason of a handshake's failure, or what was spoken. */
  readonly #throttles = new Throttles(QUIET_MS);

  constructor(registry: Registry, log: Logger) {
    const registers = [registry];
    this.#log = log;
    this.#done = new Counter({
      name: 'etcd_proxy_tls_handshakes_total',
      help: 'TLS handshakes with clients that went well.',
      registers,
    });
    this.#failed = new Counter({
      name: 'etcd_proxy_tls_handshakes_failed_total',
      help: 'TLS handshakes with clients that failed, by reason.',
      labelNames: ['reason'],
      registers,
    });
    this.#wrong = new Counter({
      name: 'etcd_proxy_wrong_transport_total',
      help: 'Connections refused for speaking plaintext to a TLS port or TLS to a plaintext port.',
      labelNames: ['spoken'],
      registers,
    });
    this.#reloads = new Counter({
      name: 'etcd_proxy_tls_reloads_total',
      help: 'Times that certificates, keys and authorities were read again, by side and result (ok or failed).',
      labelNames: ['side', 'result'],
      registers,
    });
    this.#expiry = new Gauge({
      name: 'etcd_proxy_tls_certificate_expiry_timestamp_seconds',
      help: 'When the certificate in use expires, in seconds since 1970, by side.',
      labelNames: ['side'],
      registers,
    });
  }

  onHandshakeDone(): void {
    this.#done.inc();
  }

  onHandshakeFailed({ reason, detail }: HandshakeFailure, client: string): void {
    this.#failed.inc({ reason });
    this.#throttles.line(reason, (suppressed) => {
      this.#log.warn({ reason, detail, client, suppressed }, 'TLS handshake with a client failed');
    });
  }

  /** A connection was refused because it spoke this to a port that wants the other. */
  onWrongTransport(spoken: WrongTransport): void {
    this.#wrong.inc({ spoken });
    const message = spoken === 'tls' ? 'TLS on a plaintext port' : 'plaintext on a TLS port';
    this.#throttles.line(spoken, (suppressed) => this.#log.warn({ suppressed }, message));
  }

  onLoaded(side: TlsSide, expires: Date | undefined): void {
    if (expires === undefined) return;
    this.#expiry.set({ side }, expires.getTime() / 1000);
    if (expires.getTime() > Date.now()) return;
    this.#log.warn({ side, expires: expires.toISOString() }, 'the certificate has expired');
  }

  onReloaded(side: TlsSide): void {
    this.#reloads.inc({ side, result: 'ok' });
    this.#log.info({ side }, 'reloaded the TLS files');
  }

  onReloadFailed(side: TlsSide, problem: string): void {
    this.#reloads.inc({ side, result: 'failed' });
    this.#log.error({ side, problem }, 'could not reload the TLS files; the ones before stay in use');
  }
}
