/**
 * Requests as clients of etcd's gateway send them, in the order and with all the peculiarities that they have, each with the
 * client that sends it. They change the store, and need no others before them.
 */
import type { GatewayRequest } from './sides.ts';

/** Where a request comes from. */
type Client =
  | 'lua-resty-etcd'
  | 'Patroni'
  | 'etcd3gw'
  | 'networking-calico'
  | 'vitastor'
  | 'TablePro'
  | 'curl';

/** A request of a client. */
export interface ClientCase extends GatewayRequest {
  readonly client: Client;
}

const b64 = (text: string): string => Buffer.from(text).toString('base64');
const JSON_TYPE = { 'content-type': 'application/json' };

function of(
  client: Client,
  path: string,
  body: object | string,
  more: Partial<GatewayRequest> = {},
): ClientCase {
  return { client, path, body: typeof body === 'string' ? body : JSON.stringify(body), ...more };
}

const LEADER = b64('/service/batman/leader');
const ONE = b64('one');

/** Patroni gets and keeps the key of a leader. */
const PATRONI: readonly ClientCase[] = [
  of('Patroni', 'cluster/member/list', {}, { headers: JSON_TYPE, own: 'ID' }),
  of('Patroni', 'auth/authenticate', { name: 'a', password: 'b' }, { headers: JSON_TYPE }),
  // Patroni has 30; this one must not be over when leases are listed.
  of('Patroni', 'lease/grant', { TTL: 3000, ID: '11' }, { headers: JSON_TYPE }),
  // Nobody has it: no `result`, which is EQUAL.
  ...[1, 2].map(() =>
    of('Patroni', 'kv/txn', {
      compare: [{ target: 'CREATE', create_revision: '0', key: LEADER }],
      success: [{ request_put: { key: LEADER, value: ONE, lease: '11' } }],
    }),
  ),
  // It is mine still, or nobody's.
  ...[ONE, b64('two')].map((value) =>
    of('Patroni', 'kv/txn', {
      compare: [{ target: 'VALUE', value, key: LEADER }],
      success: [{ request_put: { key: LEADER, value: ONE, lease: '11' } }],
      failure: [
        {
          request_txn: {
            compare: [{ target: 'CREATE', create_revision: '0', key: LEADER }],
            success: [{ request_put: { key: LEADER, value: ONE, lease: '11' } }],
          },
        },
      ],
    }),
  ),
  of('Patroni', 'kv/txn', {
    compare: [{ target: 'CREATE', create_revision: '0', key: b64('/service/batman/none') }],
    success: [{ request_delete_range: { key: b64('/service/batman/none') } }],
    failure: [{ request_txn: { compare: [], success: [{ request_range: { key: LEADER } }], failure: [] } }],
  }),
  of('Patroni', 'kv/range', {
    key: b64('/service/batman/'),
    range_end: b64('/service/batman0'),
    serializable: true,
  }),
  of('Patroni', 'lease/keepalive', { ID: '11' }, { headers: JSON_TYPE }),
  of('Patroni', 'lease/keepalive', { ID: '12' }, { headers: JSON_TYPE }),
  of('Patroni', 'kv/deleterange', { key: LEADER }),
];

/** APISIX, by lua-resty-etcd: no content type, and no body where there is nothing to say. */
const APISIX: readonly ClientCase[] = [
  { client: 'lua-resty-etcd', path: '/version', method: 'GET' },
  of('lua-resty-etcd', 'kv/put', { key: b64('/apisix/routes/1'), value: b64('{"uri":"/error"}') }),
  // A reply with the text `error` anywhere in it is a failure.
  of('lua-resty-etcd', 'kv/put', { key: b64('/apisix/e'), value: b64('error') }),
  of('lua-resty-etcd', 'kv/range', {
    ...{
      key: b64('/apisix/'),
      range_end: b64('/apisix0'),
      limit: 0,
      revision: 0,
      sort_order: 0,
      sort_target: 0,
    },
    ...{ serializable: false, keys_only: false, count_only: false, min_mod_revision: 0, max_mod_revision: 0 },
    ...{ min_create_revision: 0, max_create_revision: 0 },
  }),
  of('lua-resty-etcd', 'kv/txn', {
    compare: [{ target: 'CREATE', createRevision: 0, key: b64('/apisix/new') }],
    success: [{ requestPut: { key: b64('/apisix/new'), value: b64('""') } }],
  }),
  of('lua-resty-etcd', 'kv/txn', {
    compare: [{ target: 'VERSION', result: 'NOT_EQUAL', version: 0, key: b64('/apisix/new') }],
    success: [{ requestPut: { key: b64('/apisix/new'), value: '' } }],
  }),
  // An empty value has no `value`.
  of('lua-resty-etcd', 'kv/range', { key: b64('/apisix/new') }),
  of('lua-resty-etcd', 'lease/grant', { TTL: 60, ID: 13 }),
  { client: 'lua-resty-etcd', path: 'lease/leases' },
  of('lua-resty-etcd', 'kv/lease/timetolive', { ID: '13', keys: true }, { own: 'TTL' }),
  of('lua-resty-etcd', 'kv/lease/revoke', { ID: 13 }),
  of('lua-resty-etcd', 'kv/deleterange', { key: b64('/apisix/nothing'), prev_kv: false }),
  of('lua-resty-etcd', 'kv/put', { key: b64('/apisix/x') }, { headers: { authorization: 'of nobody' } }),
];

/** etcd3gw, and networking-calico on top of it. */
const OPENSTACK: readonly ClientCase[] = [
  of('networking-calico', '/invalid/maintenance/status', {}),
  of('networking-calico', '/v3beta/maintenance/status', {}),
  of('networking-calico', '/v3alpha/maintenance/status', {}),
  of('etcd3gw', 'lease/grant', '{"TTL": 600, "ID": 7587862094632915974}'),
  // Its ids are bare numbers, beyond what doubles hold.
  of('etcd3gw', 'kv/put', '{"key": "Z3c=", "value": "Z3c=", "lease": 7587862094632915974}'),
  of('etcd3gw', 'kv/lease/timetolive', '{"ID": 7587862094632915974, "keys": true}', { own: 'TTL' }),
  of('etcd3gw', 'lease/keepalive', '{"ID": 7587862094632915974}'),
  of('etcd3gw', 'kv/lease/revoke', '{"ID": 7587862094632915974}'),
  of('etcd3gw', 'kv/lease/timetolive', '{"ID": 7587862094632915974}'),
  of('etcd3gw', 'kv/compaction', { revision: 1, physical: false }),
  of('networking-calico', 'kv/range', {
    key: 'AA==',
    range_end: 'AA==',
    sort_order: 2,
    limit: 200,
    revision: '3',
  }),
  of('networking-calico', 'kv/range', {
    key: 'AA==',
    range_end: 'AA==',
    sort_order: 2,
    sort_target: 0,
    limit: 2,
  }),
];

const OTHERS: readonly ClientCase[] = [
  of('vitastor', 'kv/txn', {
    compare: [{ target: 'MOD', mod_revision: 1_000_000, result: 'LESS', key: b64('/vitastor/stats') }],
    success: [
      { request_put: { key: b64('/vitastor/stats'), value: b64('{}') } },
      { request_range: { key: b64('/vitastor/'), range_end: b64('/vitastor0') } },
    ],
  }),
  of('vitastor', 'maintenance/status', {}),
  of('TablePro', '/v3alpha/kv/range', { key: 'AA==', limit: 1 }, { headers: JSON_TYPE }),
  of('TablePro', '/v3beta/kv/range', { key: 'AA==', limit: 1 }, { headers: JSON_TYPE }),
  of(
    'curl',
    'kv/put',
    { key: b64('form'), value: b64('form') },
    {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    },
  ),
  of('curl', 'cluster/member/promote', '{"ID": 12345678901234567891}'),
  of('curl', 'election/proclaim', { value: b64('x') }),
  of('curl', 'kv/range', '{"key":"Z3c="}garbage'),
  of('curl', 'kv/range', '{"key":"Zm9ybQ=="}{"key":"Z3c="}'),
  // A lock without a name waits for whatever begins like this.
  of('curl', 'kv/deleterange', { key: b64('/'), range_end: b64('0') }),
];

/** All of them. */
export const CLIENT_CASES: readonly ClientCase[] = [...PATRONI, ...APISIX, ...OPENSTACK, ...OTHERS];
