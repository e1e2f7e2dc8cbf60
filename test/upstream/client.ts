/** A client of scripted members: its calls and streams, none of which has a deadline. */
import { Watch } from '../../src/etcd/methods.ts';
import type { Endpoint } from '../../src/net/endpoint.ts';
import type { ClientStream } from '../../src/rpc/contract.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import type { Method } from '../../src/rpc/method.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import type { ClusterClient } from '../../src/upstream/cluster-client.ts';
import { until } from '../support/until.ts';
import { connectTo, type Heard, ScriptedEtcd } from './scripted-etcd.ts';

const EMPTY = new Uint8Array(0);

/** A second connection may take half as long as a dial: so long that a machine that is busy is no reason to give it up. */
export const PATIENT = { dialTimeout: 30_000 };

const callOf = (method: Method): OwnCall => new OwnCall(method, NO_METADATA, Number.POSITIVE_INFINITY);

/** Makes a call. */
export const ask = (cluster: ClusterClient, method: Method): Promise<Uint8Array> =>
  cluster.unary(EMPTY, callOf(method));

/** A stream as a client sees it. */
export class Stream {
  answers = 0;
  /** How often it heard that there is room again. */
  drains = 0;
  /** Whether there was room behind what was sent last. */
  room: boolean;
  readonly #stream: ClientStream;
  readonly ended = Promise.withResolvers<number>();

  constructor(cluster: ClusterClient, method: Method = Watch.Watch) {
    this.#stream = cluster.stream(callOf(method), {
      onHeaders: () => {},
      onMessage: () => {
        this.answers++;
      },
      onDrain: () => {
        this.drains++;
      },
      onEnd: ({ code }) => this.ended.resolve(code),
    });
    this.room = this.send();
  }

  /** Sends a message. @returns whether there is room for more */
  send(): boolean {
    this.room = this.#stream.send(EMPTY);
    return this.room;
  }
}

/** Where a call of a client came last, questions not counted: the connection. */
export const connectionOf = ({ seen }: ScriptedEtcd, { path }: Method): string =>
  seen.findLast((call) => call.path === path && !call.hasLeader)?.connection ?? '';

/** Waits until an endpoint is in use. */
export const inUse = (cluster: ClusterClient): Promise<Endpoint> =>
  until('an endpoint is in use', () => cluster.current);

/** A client of two members. */
export interface OfTwo {
  readonly cluster: ClusterClient;
  readonly heard: Heard;
  /** The member in use, and the other one. */
  readonly from: ScriptedEtcd;
  readonly to: ScriptedEtcd;
}

/** Starts two members and a client of theirs, which uses one of them. */
export async function ofTwo(held: AsyncDisposableStack): Promise<OfTwo> {
  const members = [held.use(await ScriptedEtcd.start()), held.use(await ScriptedEtcd.start())];
  const { cluster, heard } = connectTo(members, PATIENT);
  held.defer(() => cluster.close());
  const { name } = await inUse(cluster);
  const from = members.find(({ address }) => name.includes(address)) as ScriptedEtcd;
  const to = members.find((member) => member !== from) as ScriptedEtcd;
  return { cluster, heard, from, to };
}
