/** Reads that etcd answers, and what it means for those from memory where it refuses one. */
import { clientIdentityOf } from '../clients/identity.ts';
import type { Readers } from '../clients/probes.ts';
import { rangeOf } from '../etcd/range-kind.ts';
import { isRefusal } from '../etcd/statuses.ts';
import { wantsToken } from '../etcd/words.ts';
import type { Call, UnaryUpstream } from '../rpc/contract.ts';
import { RpcError } from '../rpc/status.ts';
import type { Covers } from './covers.ts';
import type { Sharer } from './scopes.ts';

export class ForwardedReads {
  readonly #below: UnaryUpstream;
  readonly #readers: Readers;
  readonly #covers: Covers;

  /** @param readers whom etcd has allowed what, where several share answers */
  constructor(below: UnaryUpstream, readers: Readers, covers: Covers) {
    this.#below = below;
    this.#readers = readers;
    this.#covers = covers;
  }

  /** Has etcd answer a read that could have been answered from memory. @param sharer the client, if it may share answers */
  ask(sharer: Sharer | undefined, request: Uint8Array, call: Call): Uint8Array | Promise<Uint8Array> {
    const reply = this.#below.unary(request, call);
    if (reply instanceof Promise)
      reply.catch((error: unknown) => this.#onFailed(sharer, request, call, RpcError.from(error)));
    return reply;
  }

  /** Where etcd refuses a client, it gets nothing of the range by what etcd has said before. */
  #onFailed(sharer: Sharer | undefined, request: Uint8Array, { metadata }: Call, error: RpcError): void {
    const client = clientIdentityOf(metadata);
    // Of who shows no token, etcd refuses all or nothing: one bad request shall not take everybody's answers.
    if (client.hasToken ? !isRefusal(error) : !wantsToken(error)) return;
    const range = rangeOf(request);
    if (range === undefined) return;
    const now = performance.now();
    if (sharer !== undefined) this.#readers.of(sharer.reader.identity, range).refuse(now);
    this.#covers.refuse(client, range, now);
  }
}
