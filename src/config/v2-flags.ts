/** The flags of etcd's v2 proxy, as its command lines have them: a part of the one table of flags. */

import { flag, number } from './flag.ts';
import type { Limits } from './limits.ts';
import { LONGEST_MS } from './values.ts';

/** Milliseconds, as a plain number; zero: no bound. A longer time is refused. */
const MILLISECONDS: Limits = { least: 0, most: LONGEST_MS };

/** In the order of the help. */
export const V2_FLAGS = {
  proxy: flag(
    'mode',
    '',
    'readwrite (also: on), readonly (whatever may write is refused with UNIMPLEMENTED, or status 501) or off (nothing of /v2); not given: readwrite',
  ),
  'listen-client-urls': flag(
    'addresses',
    '',
    'addresses to serve on (comma separated or repeated), in the place of --listen-addr or beside it: http://host:port, or https:// with --cert-file or --auto-tls',
  ),
  'discovery-fallback': flag(
    'fallback',
    'proxy',
    'without --proxy, when --discovery names a cluster that has all its members: proxy (serve it) or exit (with code 1)',
  ),
  'proxy-fallback': flag('fallback', 'proxy', 'the same; false also means exit'),
  'proxy-failure-wait': number(
    'integer',
    '5000',
    MILLISECONDS,
    'milliseconds for which an endpoint that failed gets no requests for /v2',
  ),
  'proxy-refresh-interval': number(
    'integer',
    '30000',
    { ...MILLISECONDS, least: 100 },
    'milliseconds after which the endpoints for /v2 are taken anew, in a new order, and members are asked again unless --discovery-refresh-interval is given',
  ),
  'proxy-dial-timeout': number(
    'integer',
    '1000',
    MILLISECONDS,
    'milliseconds for a connection for /v2; 0: no bound',
  ),
  'proxy-write-timeout': number(
    'integer',
    '5000',
    MILLISECONDS,
    'milliseconds in which an endpoint has to take what is sent for /v2; 0: no bound',
  ),
  'proxy-read-timeout': number(
    'integer',
    '0',
    MILLISECONDS,
    'milliseconds that an endpoint may be silent to a request for /v2, also to those that wait for events; 0: no bound',
  ),
};
