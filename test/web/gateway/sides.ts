/** The same requests to etcd's own gateway and to the proxy, each with a store of its own, and what both have to say alike. */
import assert from 'node:assert/strict';
import type { EtcdInstall } from '../../../scripts/etcd/etcds.ts';
import { type EtcdCluster, startEtcd } from '../../support/etcd.ts';
import { REAL_MEMBERS, type RunningProxy, startProxy } from '../../support/proxy.ts';
import { until } from '../../support/until.ts';

/** One request. */
export interface GatewayRequest {
  /** Below `/v3/`, or from the root where it begins with a slash. */
  readonly path: string;
  readonly body?: string | Uint8Array;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Names of fields that no two clusters have in common. */
  readonly own?: string;
}

/** What came back. */
export interface GatewayAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** Numbers and addresses that are of one cluster, and those that count its own doings. */
const OF_ONE_CLUSTER =
  /"(cluster_id|member_id|memberID|leader|raft_term|raftTerm|raftIndex|raftAppliedIndex|dbSize|dbSizeInUse|token|hash)":("[^"]*"|\d+)/g;
const URLS = /"http:\/\/127\.0\.0\.1:\d+"/g;

/** Sends one. */
export async function send(base: string, request: GatewayRequest): Promise<GatewayAnswer> {
  const { path, body, method = 'POST', headers = {} } = request;
  const target = path.startsWith('/') ? path : `/v3/${path}`;
  const response = await fetch(base + target, {
    method,
    headers: { ...headers },
    body: (body as string | undefined) ?? null,
    redirect: 'manual',
    signal: AbortSignal.timeout(20_000),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** etcd's page of its version, once it has decided on that of its cluster. */
export function decidedVersion(base: string): Promise<GatewayAnswer> {
  return until('the version of the cluster', async () => {
    const answer = await send(base, { path: '/version', method: 'GET' });
    return answer.status === 200 && !answer.text.includes('not_decided') && answer;
  });
}

/** Each line of an answer, without what is of one cluster. */
export function comparable(text: string, own = 'cluster_id'): unknown[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const further = new RegExp(`"(${own})":"[^"]*"`, 'g');
  return lines.map((line) => {
    const json = JSON.stringify(JSON.parse(line));
    const common = json.replaceAll(OF_ONE_CLUSTER, '"$1":"*"').replaceAll(URLS, '"url"');
    return JSON.parse(common.replaceAll(further, '"$1":"*"')) as unknown;
  });
}

/** An etcd, and another one behind the proxy. */
export class Sides implements AsyncDisposable {
  readonly direct: string;
  readonly proxied: string;
  readonly #etcds: readonly EtcdCluster[];
  readonly #proxy: RunningProxy;

  constructor(etcds: readonly EtcdCluster[], proxy: RunningProxy) {
    this.#etcds = etcds;
    this.#proxy = proxy;
    this.direct = etcds[0]?.first.url ?? '';
    this.proxied = proxy.url;
  }

  static async start(install: EtcdInstall): Promise<Sides> {
    const etcds = await Promise.all([startEtcd({ install }), startEtcd({ install })]);
    await Promise.all(etcds.map(({ first }) => decidedVersion(first.url)));
    return new Sides(etcds, await startProxy({ endpoints: etcds[1].endpoints, flags: [REAL_MEMBERS] }));
  }

  /** Sends a request to both, and compares the answers. Returns them. */
  async compare(request: GatewayRequest): Promise<{ direct: GatewayAnswer; proxied: GatewayAnswer }> {
    const [direct, proxied] = await Promise.all([send(this.direct, request), send(this.proxied, request)]);
    const what = `${request.path} ${String(request.body).slice(0, 300)}\n${direct.text}\n${proxied.text}`;
    // Releases of etcd differ in which of the two it is; the later one keeps the method.
    assert.equal(proxied.status, direct.status === 301 ? 307 : direct.status, what);
    const { own } = request;
    if (proxied.status === 307)
      assert.equal(proxied.headers.get('location'), direct.headers.get('location'), what);
    else if (direct.status === 200)
      assert.deepEqual(comparable(proxied.text, own), comparable(direct.text, own), what);
    else compareErrors(proxied, direct, what);
    return { direct, proxied };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy.stop();
    await Promise.all(this.#etcds.map((etcd) => etcd.stop()));
  }
}

/** The texts about bodies that cannot be read differ from release to release, and within one. */
function compareErrors(proxied: GatewayAnswer, direct: GatewayAnswer, what: string): void {
  assert.match(proxied.headers.get('content-type') ?? '', /^application\/json/, what);
  if (!direct.text.startsWith('{')) return;
  const expected = JSON.parse(direct.text) as { code: number; message: string };
  const got = JSON.parse(proxied.text) as { code: number; message: string; error: string };
  assert.equal(got.code, expected.code, what);
  assert.equal(got.error, got.message, what);
  if (
    /^(etcdserver|etcdclient|auth|"leader"|invalid grpc-timeout|context|Not Found|Method Not)/.test(
      expected.message,
    )
  )
    assert.equal(got.message, expected.message, what);
  assert.equal(proxied.headers.get('www-authenticate'), direct.headers.get('www-authenticate'), what);
}
