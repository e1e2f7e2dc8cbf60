/** Numbers from the metrics pages of etcd and of the proxy. */

/** The page of a proxy's own metrics. */
export async function proxyMetrics(url: string): Promise<string> {
  return (await fetch(`${url}/proxy/metrics`)).text();
}

/** The value of a series of a proxy: its name with all its labels as the page has them, or just its name. */
export async function metric(url: string, series: string): Promise<number> {
  return valueOn(await proxyMetrics(url), url, series);
}

/** The value of a series of an etcd. */
export async function etcdMetric(url: string, series: string): Promise<number> {
  return valueOn(await (await fetch(`${url}/metrics`)).text(), url, series);
}

function valueOn(page: string, url: string, series: string): number {
  const line = page.split('\n').find((candidate) => candidate.startsWith(`${series} `));
  if (line === undefined) throw new Error(`${url} has no series ${series}`);
  return Number(line.slice(series.length + 1));
}

/** How many reads an etcd has answered, whatever the answer. */
export async function rangesHandled(url: string): Promise<number> {
  return grpcCalls(url, 'handled', 'Range');
}

/** Streams of a method that an etcd has open, by its own count of those begun and those over. */
export async function streamsInProgress(url: string, method: string): Promise<number> {
  return (await grpcCalls(url, 'started', method)) - (await grpcCalls(url, 'handled', method));
}

async function grpcCalls(url: string, what: 'started' | 'handled', method: string): Promise<number> {
  const page = await (await fetch(`${url}/metrics`)).text();
  const series = new RegExp(`^grpc_server_${what}_total\\{.*grpc_method="${method}".*\\} (\\S+)$`, 'gm');
  return [...page.matchAll(series)].reduce((sum, [, count]) => sum + Number(count), 0);
}
