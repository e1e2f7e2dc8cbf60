/** What a source tells its observer, in the order in which it does. */
import type { SourceObserver } from '../../src/endpoints/found-endpoints.ts';
import type { Endpoint } from '../../src/net/endpoint.ts';

/** Names of endpoints, in order. */
export const namesOf = (endpoints: readonly Endpoint[]): string[] => endpoints.map(({ name }) => name).sort();

export class Observed implements SourceObserver {
  readonly failures: string[] = [];
  readonly leftOut: string[] = [];
  readonly waiting: string[] = [];
  readonly notKept: string[] = [];
  /** Each list that was used; one that was widened begins with a star. */
  readonly used: string[] = [];
  looks = 0;
  changes = 0;

  onFound(_source: string, _endpoints: readonly Endpoint[], changed: boolean): void {
    this.looks++;
    if (changed) this.changes++;
  }

  onFailed(_source: string, cause: string): void {
    this.failures.push(cause);
  }

  onWaiting(_source: string, members: number, size: number): void {
    this.waiting.push(`${members} of ${size}`);
  }

  onLeftOut(count: number, reason: string): void {
    this.leftOut.push(`${count}: ${reason}`);
  }

  onUsed(endpoints: readonly Endpoint[], widened: boolean): void {
    this.used.push(`${widened ? '*' : ''}${namesOf(endpoints).join(' ')}`);
  }

  onNotKept(cause: string): void {
    this.notKept.push(cause);
  }

  onFault(error: unknown): void {
    throw error;
  }
}
