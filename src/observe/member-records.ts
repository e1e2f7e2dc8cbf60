/** The registration of the proxy and the proxies that it knows: their series, and the log. */
import type { Registry } from '@prometheus-io/client';
import type { Members, MembersObserver } from '../members/members.ts';
import type { Loss } from '../members/stats.ts';
import type { Logger } from './log.ts';
import { exposeCounter, exposeCounts, exposeGauge } from './readings.ts';
import { QUIET_MS, Throttle, Throttles } from './throttle.ts';

/** Exposes them. */
export function exposeMembers(registry: Registry, members: Pick<Members, 'stats' | 'known'>): void {
  const { stats } = members;
  const counters = [
    ['registrations', 'Times that the proxy has registered itself.', () => stats.registrations],
    ['registration_failures', 'Times that registering, or staying registered, failed.', () => stats.failures],
    [
      'registry_unreadable',
      'Times that the registered proxies could not be read, and those known before were told.',
      () => stats.unreadable,
    ],
    [
      'registry_skipped',
      'Values below --resolver-prefix that were left out of the list, since they are no proxies.',
      () => stats.skipped,
    ],
  ] as const;
  for (const [name, help, value] of counters)
    exposeCounter(registry, `etcd_proxy_${name}_total`, help, value);
  exposeCounts(
    registry,
    'etcd_proxy_registration_losses_total',
    'Times that the registration was lost: its lease was gone, or its key was deleted.',
    'lost',
    () => Object.entries(stats.losses),
  );
  exposeGauge(registry, 'etcd_proxy_registered', 'Whether the proxy is registered.', () =>
    stats.registered ? 1 : 0,
  );
  exposeGauge(
    registry,
    'etcd_proxy_registered_proxies',
    'Proxies that are registered, this one too, as far as it knows.',
    () => members.known,
  );
}

/** The incumbent's words where it has some. */
const LOST: Readonly<Record<Loss, string>> = {
  lease: 'session expired; possible network partition or server restart',
  key: 'the registration was deleted; registering again',
};

/** Writes the log. */
export function membersLog(log: Logger): MembersObserver {
  const failures = new Throttles(QUIET_MS);
  const losses = new Throttles(QUIET_MS);
  const unreadable = new Throttles(QUIET_MS);
  const skipped = new Throttle(QUIET_MS);
  return {
    onRegistered: (addr, ttl) => log.info({ addr, 'lease-ttl': ttl }, 'registered session with lease'),
    onFailed: ({ message }) =>
      failures.line(message, (suppressed) =>
        log.warn({ reason: message, suppressed }, 'cannot register, or stay registered; trying again'),
      ),
    onLost: (loss) => losses.line(loss, (suppressed) => log.warn({ suppressed }, LOST[loss])),
    onDeregistered: (addr) => log.info({ addr }, 'deregistered'),
    onLeftBehind: ({ message }) =>
      log.warn({ reason: message }, 'could not deregister: the registration goes with its lease'),
    onOnlyHere: (addr) =>
      log.warn(
        { addr, flag: 'advertise-client-url' },
        'registering an address that is good on this machine only, since no other is known',
      ),
    onUnreadable: (reason, retryMs) =>
      unreadable.line(reason, (suppressed) =>
        log.warn(
          { reason, suppressed, retryMs: Math.round(retryMs) },
          'registered proxies cannot be read: clients are told those known before',
        ),
      ),
    onSkipped: (revision) =>
      skipped.line((suppressed) =>
        log.warn({ revision, suppressed }, 'a value below --resolver-prefix is no proxy, and is left out'),
      ),
  };
}
