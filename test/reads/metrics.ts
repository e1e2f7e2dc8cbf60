/** Numbers from the metrics pages of etcd and of the proxy. */

/** The value of a series: its name with all its labels as the page has them, or just its name. */
export async function metric(url: string, series: string): Promise<number> {
  const page = await (await fetch(`${url}/metrics`)).text();
  const line = page.split('\n').find((candidate) => candidate.startsWith(`${series} `));
  if (line === undefined) throw new Error(`${url} has no series ${series}`);
  return Number(line.slice(series.length + 1));
}

/** How many reads an etcd has answered, whatever the answer. */
export async function rangesHandled(url: string): Promise<number> {
  const page = await (await fetch(`${url}/metrics`)).text();
  const lines = page.matchAll(/^grpc_server_handled_total\{.*grpc_method="Range".*\} (\S+)$/gm);
  return [...lines].reduce((sum, [, count]) => sum + Number(count), 0);
}
