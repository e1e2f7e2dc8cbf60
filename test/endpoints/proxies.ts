/** What a running proxy knows of endpoints, and whether it serves. */
import assert from 'node:assert/strict';
import { metric } from '../support/metrics.ts';
import type { RunningProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';

/** Waits until a source knows so many endpoints. */
export async function knows(
  proxy: RunningProxy,
  source: string,
  count: number,
  limitMs = 30_000,
): Promise<void> {
  const series = `etcd_proxy_endpoints_known{source="${source}"}`;
  let known = -1;
  await until(
    () => `${source} knows ${count}, not ${known}\n${proxy.process.stderr.slice(-3000)}`,
    async () => {
      known = await metric(proxy.url, series).catch(() => -1);
      return known === count;
    },
    limitMs,
  );
}

/** Waits until the proxy chooses among so many endpoints. */
export async function uses(proxy: RunningProxy, count: number): Promise<void> {
  await until(
    () => `${count} endpoints are used\n${proxy.process.stderr.slice(-3000)}`,
    async () => (await metric(proxy.url, 'etcd_proxy_endpoints')) === count,
  );
}

/** Waits for a line of the log. */
export async function logged(proxy: RunningProxy, line: RegExp): Promise<void> {
  await until(
    () => `${line} is in the log\n${proxy.process.stderr.slice(-3000)}`,
    () => line.test(proxy.process.stderr),
  );
}

/** Writes a key through a proxy, and reads it back. An etcd that has just started may want another try. */
export async function saves(proxy: RunningProxy, what: string): Promise<void> {
  const key = Buffer.from(what).toString('base64');
  let said = '';
  await until(
    () => `${what}: ${said}\n${proxy.process.stderr.slice(-3000)}`,
    async () => {
      const written = await ask(proxy, 'put', { key, value: key });
      said = JSON.stringify(written);
      return 'header' in written;
    },
  );
  const read = await ask(proxy, 'range', { key });
  assert.equal((read.kvs as { value: string }[] | undefined)?.[0]?.value, key, what);
}

/** Asks for something of the KV service, by etcd's JSON. */
export async function ask(
  proxy: RunningProxy,
  what: 'put' | 'range',
  body: object,
): Promise<Record<string, unknown>> {
  const response = await fetch(`${proxy.url}/v3/kv/${what}`, { method: 'POST', body: JSON.stringify(body) });
  return (await response.json()) as Record<string, unknown>;
}
