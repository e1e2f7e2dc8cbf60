/** What pages of other origins need of keys as resources. */

/** The methods of their requests. */
export const KEY_METHODS: readonly string[] = ['GET', 'HEAD', 'PUT', 'DELETE'];

/** The header fields of answers that pages read. */
export const KEY_HEADERS: readonly string[] = [
  'ETag',
  'Link',
  'X-Etcd-Count',
  'X-Etcd-Create-Revision',
  'X-Etcd-Lease',
  'X-Etcd-Mod-Revision',
  'X-Etcd-More',
  'X-Etcd-Revision',
  'X-Etcd-Ttl',
  'X-Etcd-Version',
];
