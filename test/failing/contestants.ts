/** What is put in front of a stage's cluster and compared: the proxy, etcd's own, and nothing at all. */
import { connect } from 'node:net';
import { takePort } from '../support/ports.ts';
import { startProcess } from '../support/process.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import type { Stage } from './stage.ts';

/** Who is compared. */
export type Who = 'proxy' | 'direct' | 'incumbent';

/** One of them. */
export interface Contestant extends AsyncDisposable {
  readonly who: Who;
  /** What clients connect to, as grpc-js takes it. */
  readonly address: string;
  readonly proxy?: RunningProxy;
}

/** How long the proxy may take to connect to the only member that lets it in, on a busy machine too. */
const CONNECT_LIMIT_MS = 30_000;
/** The same where that member serves badly: the proxy need not, if it can do without. */
const TRY_MS = 3_000;

/**
 * Starts the proxy, and waits until it uses the member that will fail.
 * @param serves whether that member serves until then, as a voter does that does not lag
 */
export async function proxyOn(
  stage: Stage,
  flags: readonly string[] = [],
  serves = stage.victim < stage.cluster.members.length,
): Promise<Contestant> {
  if (stage.way === 'members') stage.allowOnlyVictim();
  const proxy = await startProxy({ ...(await stage.proxyEndpoints()), flags });
  try {
    await proxy.process.waitForLine(/"connected to etcd"/, serves ? CONNECT_LIMIT_MS : TRY_MS);
  } catch (error) {
    // For one that serves better it may rightly wait.
    if (serves) {
      await proxy.stop();
      throw error;
    }
  }
  stage.allowAll();
  return {
    who: 'proxy',
    address: proxy.address,
    proxy,
    [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
  };
}

/** Starts etcd's own proxy. */
async function incumbentOn(stage: Stage): Promise<Contestant> {
  const address = `127.0.0.1:${await takePort()}`;
  const endpoints = (await stage.endpoints()).join(',');
  const args = ['grpc-proxy', 'start', `--endpoints=${endpoints}`, `--listen-addr=${address}`];
  const running = await startProcess(stage.cluster.install.etcd, args, { keep: 10_000 });
  await running.waitForLine(/started gRPC proxy/, 30_000);
  await until('it listens', () => listens(address));
  return { who: 'incumbent', address, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() };
}

/** Whether somebody listens there. */
function listens(address: string): Promise<boolean> {
  const [host, port] = address.split(':') as [string, string];
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host, port: Number(port) });
  socket.on('connect', () => resolve(true));
  socket.on('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}

/** Clients of the members themselves, in turns. */
export async function directly(stage: Stage): Promise<Contestant> {
  const address = `ipv4:${(await stage.endpoints()).join(',')}`;
  return { who: 'direct', address, async [Symbol.asyncDispose]() {} };
}

/** Puts one of them on the stage; undefined where it cannot be: names that a test gives are the proxy's alone. */
export async function contestant(stage: Stage, who: Who): Promise<Contestant | undefined> {
  if (who === 'proxy') return proxyOn(stage);
  if (stage.way === 'name') return undefined;
  return who === 'incumbent' ? incumbentOn(stage) : directly(stage);
}
