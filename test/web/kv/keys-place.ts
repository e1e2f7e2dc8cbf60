/** Keys as resources of plain HTTP: an etcd and a proxy in front of it for the tests of a file, and requests to either. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { type EtcdCluster, startEtcd } from '../../support/etcd.ts';
import { type RunningProxy, startProxy } from '../../support/proxy.ts';
import { send } from '../gateway/sides.ts';
import { type Answer, type Asked, ask } from './ask.ts';

/** A key as JSON has it. */
export interface JsonKey {
  readonly key?: string;
  readonly key_base64?: string;
  readonly value?: string;
  readonly value_base64?: string;
  readonly mod_revision: string;
  readonly lease?: string;
}

export const b64 = (bytes: Uint8Array | string): string => Buffer.from(bytes).toString('base64');
/** The tag of an answer. */
export const tag = ({ headers }: Answer): string => headers.etag ?? '';
/** The revision that an answer names. */
export const revision = ({ headers }: Answer): number => Number(headers['x-etcd-revision']);
/** The body of a refusal. */
export const error = ({ text }: Answer) =>
  JSON.parse(text) as { error: string; code: number; message: string };

/** Starts both before the tests of a file, and stops them behind the last one, when no error may be in the log. */
export function keysPlace() {
  let etcd: EtcdCluster;
  let proxy: RunningProxy;
  before(async () => {
    etcd = await startEtcd();
    proxy = await startProxy({ endpoints: etcd.endpoints });
  });
  after(async () => {
    assert.deepEqual(
      proxy?.stderr.filter((line) => line.includes('"level":"error"')),
      [],
    );
    await proxy?.stop();
    await etcd?.stop();
  });

  const to = (asked: Asked): Promise<Answer> => ask(proxy.url, asked);
  const get = (path: string, headers: Record<string, string> = {}): Promise<Answer> => to({ path, headers });
  const put = (
    path: string,
    body: string | Uint8Array = 'v',
    headers: Record<string, string> = {},
  ): Promise<Answer> => to({ method: 'PUT', path, body, headers });
  const remove = (path: string, headers: Record<string, string> = {}): Promise<Answer> =>
    to({ method: 'DELETE', path, headers });
  /** etcd's own answer, past the proxy. */
  const etcds = async (path: string, body: object): Promise<Record<string, unknown>> => {
    const { status, text } = await send(etcd.first.url, { path, body: JSON.stringify(body) });
    assert.equal(status, 200, text);
    return JSON.parse(text) as Record<string, unknown>;
  };
  const stored = async (key: Uint8Array | string): Promise<{ value?: string; lease?: string } | undefined> =>
    (
      (await etcds('kv/range', { key: b64(key) })).kvs as { value?: string; lease?: string }[] | undefined
    )?.[0];
  return { to, get, put, remove, etcds, stored, url: () => proxy.url, endpoints: () => etcd.endpoints };
}
