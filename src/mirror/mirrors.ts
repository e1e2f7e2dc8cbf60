/**
 * START HERE. Mirrored prefixes: reads inside them are answered from memory, watches inside them ride on their feeds.
 *
 *   MirroredReads   a read: which mirror, is it far enough, may the client read
 *     RangeQuery      the request, understood to the last bit; TxnQuery: several, with comparisons
 *     ProbeTable      asks etcd for its revision, for all reads that wait
 *     WaitingReads    those that cannot be answered at once, each for a time
 *     Mirror          one prefix: snapshot and feed, loading and losing it
 *       loadSnapshot    all keys at one revision, page by page; LoadRetry: when it is tried again
 *       Store           every key's versions, from `floor` to `applied`
 *       Arrivals        reads that wait until something has been applied
 *     Login           the user that the proxy is to etcd
 *     ReplyMaker      makes the reply, at once or as one of the LongReads, in steps whose Work is counted
 *       rangeReply      etcd's Range on the store; txnReply: several of them at once
 *       HotReplies      replies that were put together lately
 *     FallBacks       the bounded way to etcd
 */

import type { Login } from '../clients/login.ts';
import type { Permissions } from '../clients/permission.ts';
import { ProbeTable } from '../clients/probes.ts';
import type { SeenRevision } from '../clients/seen-revision.ts';
import { type KeyRange, prefixRange } from '../etcd/key-range.ts';
import { KV } from '../etcd/methods.ts';
import type { WatchHub } from '../watch/hub.ts';
import { Mirror, type MirrorLog } from './mirror.ts';
import { MirrorStats } from './stats.ts';

/** Which prefixes are held, within which bounds, and what holding them stands on. */
export interface MirrorsOptions {
  /** As the user gave them, in UTF-8; none is empty. One inside another one is passed over. */
  readonly prefixes: readonly string[];
  /** Memory for the keys of one prefix, in bytes. */
  readonly bytes: number;
  readonly historyRevisions: number;
  readonly hub: WatchHub;
  readonly permissions: Permissions;
  readonly seen: SeenRevision;
  /** Who the proxy is to etcd. */
  readonly login: Login;
  readonly log: MirrorLog;
}

/** All mirrored prefixes. */
export class Mirrors {
  readonly stats = new MirrorStats();
  readonly permissions: Permissions;
  readonly probes: ProbeTable;
  readonly all: readonly Mirror[];

  constructor(options: MirrorsOptions) {
    const { prefixes, bytes, historyRevisions, hub, permissions, seen, login, log } = options;
    const { stats } = this;
    this.permissions = permissions;
    this.probes = new ProbeTable(
      (metadata, request) => {
        stats.probes++;
        return hub.unary(KV.Range, metadata, request);
      },
      { permissions },
    );
    this.all = distinct(prefixes).map(
      (prefix) =>
        new Mirror(prefix, {
          bytes,
          historyRevisions,
          read: (request) => login.run((metadata) => hub.unary(KV.Range, metadata, request)),
          // Nobody's until etcd demands a user: it refuses such a watch while auth is on, and the read before has signed in by then.
          feeds: () => hub.circles.own ?? hub.nobodys,
          hasUser: login.hasUser,
          onSetBack: (revision) => seen.setBack(revision),
          stats,
          log,
        }),
    );
  }

  /** The mirror that has all keys of a read. */
  find({ start, end }: { readonly start: string; readonly end: string }): Mirror | undefined {
    for (const mirror of this.all) if (start >= mirror.range.start && end <= mirror.range.end) return mirror;
    return undefined;
  }

  /** Starts loading. */
  start(): void {
    for (const mirror of this.all) mirror.start();
  }

  close(): void {
    for (const mirror of this.all) mirror.close();
  }
}

/** The ranges of prefixes, without those that lie in another one. */
export function distinct(prefixes: readonly string[]): KeyRange[] {
  const ranges: KeyRange[] = [];
  for (const prefix of [...new Set(prefixes)].sort((a, b) => a.length - b.length)) {
    const range = prefixRange(Buffer.from(prefix, 'utf8').toString('latin1'));
    if (!ranges.some((wider) => wider.covers(range))) ranges.push(range);
  }
  return ranges;
}
