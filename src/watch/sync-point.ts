/** From which revision on a feed's knowledge is as new as etcd's: where etcd was when the present stream began. */
export class SyncPoint {
  /** `Infinity` until the member of the stream has shown that it is as far as the feed. */
  revision = Number.POSITIVE_INFINITY;

  /** Another stream begins, on whatever member. */
  begin(): void {
    this.revision = Number.POSITIVE_INFINITY;
  }

  /** The member names its revision. One that is behind, or was set back, has not told all that the feed knows. */
  heard(revision: number, applied: number): void {
    if (this.revision === Number.POSITIVE_INFINITY && revision >= applied) this.revision = revision;
  }
}
