/** What clients are told of this proxy and of others like it, as the flags say. */
import type { Registry } from '@prometheus-io/client';
import type { Login } from '../clients/login.ts';
import type { Config } from '../config/config.ts';
import { advertisedOf, registrationOf } from '../config/registration.ts';
import { Members } from '../members/members.ts';
import type { Logger } from '../observe/log.ts';
import { exposeMembers, membersLog } from '../observe/member-records.ts';
import type { Services, UnaryHandler } from '../rpc/contract.ts';
import { Browser } from '../services/browser.ts';
import type { WatchHub } from '../watch/hub.ts';
import type { Reads } from './reads.ts';

interface Parts {
  readonly config: Config;
  readonly registry: Registry;
  readonly log: Logger;
  readonly reads: Reads;
  readonly hub: WatchHub;
  readonly login: Login;
  /** Asked when they are there: they serve what is built here. */
  readonly services: () => Services;
}

/** Builds it. Like the incumbent's, its entries are within `--namespace`. */
export function buildMembers({ config, registry, log, reads, hub, login, services }: Parts): Members {
  const { upstream, seen } = reads;
  const place = registrationOf(config);
  const members = new Members({
    advertised: advertisedOf(config),
    registry: place && { ...place, prefix: config.namespace + place.prefix },
    hub,
    login,
    unary: (request, call) => upstream.unary(request, call),
    heartbeat: (request, call) =>
      (services().unary(Browser.LeaseKeepAliveOnce.path) as UnaryHandler)(request, call),
    onSetBack: (revision) => seen.setBack(revision),
    observer: membersLog(log),
  });
  if (place !== undefined) exposeMembers(registry, members);
  return members;
}
