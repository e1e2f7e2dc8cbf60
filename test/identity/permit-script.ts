/** A permit whose questions a test answers, and watchers that are on it. */
import { clientIdentityOf } from '../../src/clients/identity.ts';
import type { WatchPermission } from '../../src/clients/watch-permission.ts';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { Metadata } from '../../src/rpc/metadata.ts';
import { type AuthState, Permit, type PermitOwner } from '../../src/watch/sharing/permit.ts';
import { Watcher, type WatcherFeed, type WatchSink } from '../../src/watch/watcher.ts';
import { settle } from '../reads/held-upstream.ts';
import { PLAIN } from '../watch/scripted-hub.ts';

export const RANGE = new KeyRange('w/', 'w0');

/** A permit of a user with tokens, whose questions the test answers; delays are over when it says so. */
export class Script implements PermitOwner {
  revision: AuthState = 1n;
  /** The one when somebody looks. */
  now: AuthState = 1n;
  readonly tokens: string[] = [];
  /** The questions under way, by the token that they show. */
  readonly asked: { readonly token: string; answer(leave: WatchPermission): void }[] = [];
  readonly ended: string[] = [];
  readonly told: string[] = [];
  unused = 0;
  readonly permit: Permit;

  constructor(user?: string) {
    this.permit = new Permit(this, 'key', RANGE, user);
    this.permit.revision = 1n;
  }

  look(): Promise<AuthState> {
    return Promise.resolve(this.now);
  }

  ask(metadata: Metadata): Promise<WatchPermission> {
    return new Promise((answer) => this.asked.push({ token: metadata.get('token') ?? '', answer }));
  }

  *tokensOf(): Iterable<Metadata> {
    for (const token of this.tokens) yield new Metadata(['token', token]);
  }

  delay(): number {
    return 0;
  }

  onEnded(why: string, watches: number): void {
    this.ended.push(`${why} ${watches}`);
  }

  onUnused(): void {
    this.unused++;
  }

  onFault(error: unknown): void {
    throw error;
  }

  /** A watcher whose client shows a token; what becomes of it is told by its name. */
  watcher(name: string, token = name): Watcher {
    const say = (what: string): void => void this.told.push(`${name} ${what}`);
    const hold = (held: Watcher): void => {
      held.held = true;
    };
    const feed = { pump: () => say('goes on'), hold };
    const sink = {
      fail: (code: number) => {
        say(`fails ${code}`);
        this.permit.leave(watcher);
      },
      onDenied: (_: Watcher, reason: string) => {
        say(`denied ${reason}`);
        this.permit.leave(watcher);
      },
    };
    const watcher = new Watcher(sink as unknown as WatchSink, RANGE, PLAIN, 0n, 1, 1);
    Object.defineProperty(watcher, 'feed', { value: feed });
    watcher.release = () => {
      watcher.held = false;
      feed.pump();
    };
    this.permit.enter(watcher, clientIdentityOf(new Metadata(['token', token])));
    return watcher;
  }

  suspend(...watchers: Watcher[]): void {
    for (const watcher of watchers) {
      (watcher.feed as WatcherFeed).hold(watcher);
      this.permit.suspend(watcher);
    }
  }

  async answer(leave: WatchPermission): Promise<string | undefined> {
    await settle();
    const question = this.asked.shift();
    question?.answer(leave);
    await settle();
    return question?.token;
  }
}
