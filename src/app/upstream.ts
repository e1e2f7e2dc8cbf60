/** The way to etcd: where endpoints come from, and what connects to them, as configured. */
import type { Registry } from '@prometheus-io/client';
import type { Login } from '../clients/login.ts';
import type { Config } from '../config/config.ts';
import { EndpointRecords } from '../observe/endpoint-records.ts';
import type { Logger, ProgramLog } from '../observe/log.ts';
import { UpstreamRecords } from '../observe/upstream-records.ts';
import type { ReloadObserver } from '../tls/reloading.ts';
import { ClusterClient } from '../upstream/cluster-client.ts';
import type { TlsDialer } from '../upstream/dial.ts';
import { PingIntervals } from '../upstream/ping-intervals.ts';
import { Endpoints } from './endpoints.ts';

interface Parts {
  readonly config: Config;
  readonly registry: Registry;
  readonly programLog: ProgramLog;
  readonly tls: TlsDialer;
  readonly reloads: ReloadObserver;
  /** Asked when it is there: it signs in through what is built here. */
  readonly login: () => Login;
  /** See `Endpoints`. */
  readonly onFull: () => void;
}

/** Builds both. The cluster follows the endpoints, which may be found by asking it. */
export function buildUpstream({ config, registry, programLog, tls, reloads, login, onFull }: Parts) {
  const records = new EndpointRecords(registry, programLog);
  const endpoints = new Endpoints({ config, records, reloads, tls, cluster: () => cluster, login, onFull });
  const cluster: ClusterClient = new ClusterClient({
    source: endpoints.source,
    tls,
    dialTimeout: config['dial-timeout'],
    maxWaiting: config['max-waiting-calls'],
    maxConnections: config['max-etcd-connections'],
    maxReceiveBytes: config['max-recv-bytes'],
    http2: {
      keepaliveTimeoutMs: config['dial-keepalive-timeout'],
      permitWithoutStream: config['permit-without-stream'],
    },
    pings: pingIntervals(config, programLog.logger),
    choice: { pick: config['endpoint-pick'], shuffleInterval: config['endpoints-shuffle-interval'] },
    observer: new UpstreamRecords(registry, programLog),
  });
  return { endpoints, cluster };
}

function pingIntervals(config: Config, log: Logger): PingIntervals {
  const flag = 'dial-keepalive-time';
  const wanted = config[flag];
  const intervals = new PingIntervals(wanted);
  if (intervals.initial > wanted)
    log.warn({ flag, used: `${intervals.initial / 1000}s` }, 'gRPC allows no shorter interval between pings');
  return intervals;
}
