/**
 * The discovery service in etcd's v3 API (since 3.6): `/_etcd/registry/TOKEN/_config/size` and, for each member that has
 * registered, `/_etcd/registry/TOKEN/members/ID`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type KeyValue, keyValuesIn } from '../etcd/key-values.ts';
import { KV } from '../etcd/methods.ts';
import { OWN_METADATA } from '../etcd/own-metadata.ts';
import { rangeRequest } from '../etcd/range-request.ts';
import type { UnaryUpstream } from '../rpc/contract.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { RpcError } from '../rpc/status.ts';
import { type DiscoveryService, MAX_SIZE, type Registered } from './discovery.ts';
import { sizeOf } from './discovery-v2.ts';
import { LookFailure } from './found-endpoints.ts';

/** How long the service has for an answer. Milliseconds. */
const ANSWER_MS = 5000;
/** How often is asked whether there are more members. Milliseconds. */
const POLL_MS = 1000;
/** Registered members that are read: more than any cluster has. */
const MAX_MEMBERS = 2 * MAX_SIZE;

/** The service. */
export interface ServiceClient extends UnaryUpstream {
  start(): void;
  close(): void;
}

export class DiscoveryV3 implements DiscoveryService {
  readonly name = 'discovery-token';
  readonly #prefix: string;
  readonly #client: ServiceClient;
  #started = false;

  /** @param client closed when nothing is asked any more */
  constructor(token: string, client: ServiceClient) {
    // As texts of our own are: one character for each octet.
    this.#prefix = `/_etcd/registry/${Buffer.from(token).toString('latin1')}`;
    this.#client = client;
  }

  async check(signal: AbortSignal): Promise<Registered> {
    if (!this.#started) this.#client.start();
    this.#started = true;
    const [size] = await this.#read({ key: `${this.#prefix}/_config/size` }, signal);
    if (size === undefined) throw new LookFailure('no cluster of this token');
    const members = `${this.#prefix}/members`;
    const range = { key: `${members}/`, rangeEnd: `${members}0`, limit: MAX_MEMBERS };
    const found = await this.#read(range, signal);
    return {
      size: sizeOf(size.value),
      members: found.map(({ value, createRevision }) => ({ value, created: createRevision })),
    };
  }

  async changed(signal: AbortSignal): Promise<void> {
    await sleep(POLL_MS, undefined, { signal, ref: false });
  }

  close(): void {
    this.#client.close();
  }

  async #read(request: Parameters<typeof rangeRequest>[0], signal: AbortSignal): Promise<KeyValue[]> {
    const call = new OwnCall(KV.Range, OWN_METADATA, performance.now() + ANSWER_MS);
    const cancel = () => call.cancel();
    signal.addEventListener('abort', cancel);
    try {
      return keyValuesIn(await call.inTime(this.#client.unary(rangeRequest(request), call)));
    } catch (error) {
      if (error instanceof RpcError) throw new LookFailure(error.message);
      throw error;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }
}
