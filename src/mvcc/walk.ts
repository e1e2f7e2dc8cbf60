/** How a store is read: a way through the keys of a range, which can be left and taken up again, and each key's history. */
import type { Version } from './version.ts';
import type { Work } from './work.ts';

/** A way through the keys of a range as they were at a revision, of which at most `limit` are collected. */
export class Walk {
  /** Where it goes on. */
  start: string;
  readonly end: string;
  readonly revision: number;
  readonly limit: number;
  /** What was collected; the caller may take it out. */
  found: Version[] = [];
  collected = 0;
  /** How many keys there are, collected or not. */
  total = 0;

  constructor(start: string, end: string, revision: number, limit: number) {
    this.start = start;
    this.end = end;
    this.revision = revision;
    this.limit = limit;
  }
}

/** The version that was current at a revision, from the newest one on; every one that is looked at is a visit. */
export function versionAt(newest: Version, revision: number, work: Work): Version | undefined {
  let version: Version | undefined = newest;
  work.visits++;
  while (version !== undefined && version.modRevision > revision) {
    version = version.older;
    work.visits++;
  }
  return version;
}
