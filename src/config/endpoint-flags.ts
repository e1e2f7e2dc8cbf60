/** The flags that say where the endpoints of etcd come from: a part of the one table of flags. */
import { flag, number } from './flag.ts';
import { ANY, type Limits } from './limits.ts';

/** More often would be a burden for name servers and members. */
const INTERVAL: Limits = { least: 100 };

/** In the order of the help. */
export const ENDPOINT_FLAGS = {
  endpoints: flag(
    'endpoints',
    '127.0.0.1:2379',
    'etcd endpoints (comma separated): host:port, http://host:port, https://host:port, unix:///path, unixs:///path; where they are looked for by other flags, those to use while none are found, if given',
  ),
  'endpoints-auto-sync-interval': number(
    'duration',
    '0s',
    ANY,
    'take the endpoints from the member list of the cluster, again this often, at most ten times a second; 0s: never',
  ),
  'discovery-srv': flag(
    'string',
    '',
    'DNS domain whose SRV records _etcd-client-ssl._tcp name the endpoints, and _etcd-client._tcp with --insecure-discovery',
  ),
  'discovery-srv-name': flag(
    'string',
    '',
    'suffix of the service in the names of SRV records: _etcd-client-ssl-NAME._tcp',
  ),
  'insecure-discovery': flag('boolean', 'false', 'take endpoints without TLS from SRV records too'),
  'initial-cluster': flag(
    'peers',
    '',
    'members (NAME=peerURL, comma separated) that are asked at their peer ports where the members of the cluster are for clients',
  ),
  discovery: flag(
    'string',
    '',
    'URL of a cluster at a discovery service (v2), http://host/v2/keys/_etcd/registry/TOKEN: waits until its members have registered, then asks them as with --initial-cluster',
  ),
  'discovery-token': flag(
    'string',
    '',
    'the same with a discovery service of the v3 API: the token of the cluster',
  ),
  'discovery-endpoints': flag(
    'addresses',
    '',
    'endpoints of the discovery service of the v3 API (comma separated)',
  ),
  'discovery-cacert': flag(
    'string',
    '',
    'file with the authorities for certificates of the discovery service; none: those of the system',
  ),
  'discovery-cert': flag('string', '', 'certificate that the proxy shows to the discovery service'),
  'discovery-key': flag('string', '', 'key of --discovery-cert'),
  'discovery-refresh-interval': number(
    'duration',
    '30s',
    INTERVAL,
    'look for SRV records again, and ask members at their peer ports again, this often',
  ),
};
