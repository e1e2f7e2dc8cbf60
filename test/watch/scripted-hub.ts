/** A hub between an etcd and clients that do what a test says. */
import { setImmediate as turn } from 'node:timers/promises';
import { SeenRevision } from '../../src/clients/seen-revision.ts';
import type { WatchOptions } from '../../src/etcd/watch-request.ts';
import type { StreamHandler } from '../../src/rpc/contract.ts';
import { Metadata, NO_METADATA } from '../../src/rpc/metadata.ts';
import { watchService } from '../../src/watch/client-stream.ts';
import { WatchHub, type WatchHubOptions } from '../../src/watch/hub.ts';
import { until } from '../support/until.ts';
import { b, type Create } from '../support/watch-client.ts';
import { ScriptedClient } from './scripted-client.ts';
import { ScriptedUpstream, type ScriptedWatch } from './scripted-upstream.ts';

export const KIB = 1 << 10;
export const MIB = 1 << 20;

/** Of a watch that asks for nothing but events. */
export const PLAIN: WatchOptions = {
  prevKv: false,
  noPut: false,
  noDelete: false,
  fragment: false,
  progressNotify: false,
};

export class ScriptedHub implements Disposable {
  readonly upstream = new ScriptedUpstream();
  readonly hub: WatchHub;
  readonly seen = new SeenRevision();
  readonly service: StreamHandler;

  constructor(limits: Partial<WatchHubOptions> = {}) {
    const usual = {
      historyBytes: 64 * MIB,
      historyRevisions: 100_000,
      maxRevisionBytes: 128 * MIB,
      fragmentBytes: 2 * MIB,
      linger: 0,
    };
    this.hub = new WatchHub({ upstream: this.upstream, ...usual, ...limits });
    this.service = watchService(this.hub, this.upstream, this.seen);
  }

  /** A client's stream. @param fields its metadata */
  client(fields: readonly string[] = []): ScriptedClient {
    return new ScriptedClient(this.service, fields.length === 0 ? NO_METADATA : new Metadata(fields));
  }

  /**
   * A client with a watch, which has been told that it exists, or will be when etcd has the watch that is wanted of it. One of
   * what comes next needs that where no other watch on etcd serves it.
   */
  async watching(key: string, options: Create = {}): Promise<ScriptedClient> {
    const client = this.client();
    client.watch({ key: b(key), ...options });
    const asked = (): boolean =>
      this.upstream.watches.some((watch) => !watch.answered && !watch.cancelled && watch.key === key);
    await until('the reply to a create', () => client.responses.length > 0 || asked());
    // What else is asked about it has been answered.
    for (let i = 0; i < 3; i++) await turn();
    return client;
  }

  /**
   * The latest watch of a key on etcd, from a revision at the least, once there is one of which etcd has said nothing: the
   * hub asks for it some turns after its client has heard of the watch.
   */
  async opened(key: string, from = 0): Promise<ScriptedWatch> {
    const find = (): ScriptedWatch | undefined =>
      this.upstream.watches.findLast(
        (watch) => !watch.answered && !watch.cancelled && watch.key === key && watch.start >= from,
      );
    await until(`a watch of ${key} on etcd`, () => find() !== undefined);
    return find() as ScriptedWatch;
  }

  /** The same; etcd has created the watch. */
  async created(key: string, from = 0): Promise<ScriptedWatch> {
    const watch = await this.opened(key, from);
    watch.say(this.upstream.revision, { created: true });
    return watch;
  }

  /** etcd tells of a put, at the next revision. */
  tell(watch: ScriptedWatch, key: string, bytes = 1, fragment = false): number {
    const revision = ++this.upstream.revision;
    const kv = { key: b(key), modRevision: BigInt(revision), value: Buffer.alloc(bytes) };
    watch.say(revision, { fragment, events: [{ kv }] });
    return revision;
  }

  [Symbol.dispose](): void {
    this.hub.close();
  }
}
