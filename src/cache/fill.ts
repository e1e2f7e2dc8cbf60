/** A read on its way to etcd whose answer is to be remembered. */
import type { Call } from '../rpc/contract.ts';
import type { Sharer } from './scopes.ts';

/** The read, and for whom its answer may be remembered. */
export interface Fill {
  readonly key: string;
  /** The key under which nobody shares it. */
  readonly ownKey: string;
  readonly sharer: Sharer | undefined;
  readonly request: Uint8Array;
  readonly call: Call;
  /** In milliseconds of `performance.now()`. */
  readonly askedAt: number;
}
