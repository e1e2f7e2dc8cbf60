/** A proxy that listens for several namespaces, each on a port of its own. */
import type { ProxyOptions } from '../support/proxy.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';

/** A proxy, and where its namespaces are. */
export class NamespacedProxy implements AsyncDisposable {
  readonly proxy: RunningProxy;

  constructor(proxy: RunningProxy) {
    this.proxy = proxy;
  }

  /** Where clients of a namespace come in, as `host:port`; of none: where the proxy listens for everything. */
  at(namespace: string): string {
    if (namespace === '') return this.proxy.address;
    for (const line of this.proxy.stderr) {
      const { msg, address, namespace: name } = JSON.parse(line) as Record<string, unknown>;
      if (msg === 'listening for clients of a namespace' && name === namespace) return String(address);
    }
    throw new Error(`nothing listens for ${namespace}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy.stop();
  }
}

/** Starts it. */
export async function startNamespaces(
  namespaces: readonly string[],
  options: ProxyOptions,
): Promise<NamespacedProxy> {
  const listeners = namespaces.map((name) => `--listen-namespace=127.0.0.1:0=${name}`);
  return new NamespacedProxy(
    await startProxy({ ...options, flags: [...listeners, ...(options.flags ?? [])] }),
  );
}
