/**
 * Whether a transaction writes, told from its bytes and without recursion. What might be a write is one: a field that is
 * not known here may be an operation of an etcd to come, and of several operations in one place, of which etcd takes the
 * last, none is passed over.
 */
import { Code, RpcError } from '../rpc/status.ts';
import { MAX_DEPTH, StrictFields } from './strict-fields.ts';
import { OperationTag, TxnTag } from './txn-tags.ts';

const TOO_DEEP = new RpcError(
  Code.RESOURCE_EXHAUSTED,
  `etcd-connect-proxy: transactions lie within each other deeper than ${MAX_DEPTH}`,
);

/** A message that is being looked at. */
interface Level {
  readonly fields: StrictFields;
  /** A `TxnRequest`; else a `RequestOp` of one. */
  readonly isTxn: boolean;
}

/** Looks through one `TxnRequest`. */
export class TxnWrites {
  /** From the request itself down to where it has come. */
  readonly #levels: Level[];

  constructor(request: Uint8Array) {
    this.#levels = [{ fields: new StrictFields(request), isTxn: true }];
  }

  /**
   * Goes on.
   * @param visits fields that are looked at, at most
   * @returns whether it writes; undefined: that is not known yet
   * @throws RpcError for bytes that are no message, and where too much lies within each other
   */
  advance(visits: number): boolean | undefined {
    for (let left = visits; left > 0; left--) {
      const level = this.#levels.at(-1);
      if (level === undefined) return false;
      const { fields, isTxn } = level;
      if (!fields.next()) this.#levels.pop();
      else if (
        isTxn
          ? fields.tag === TxnTag.success || fields.tag === TxnTag.failure
          : fields.tag === OperationTag.txn
      )
        this.#enter({ fields: fields.inner(), isTxn: !isTxn });
      else if (fields.tag !== (isTxn ? TxnTag.compare : OperationTag.range)) return true;
    }
    return undefined;
  }

  #enter(level: Level): void {
    if (this.#levels.length === MAX_DEPTH) throw TOO_DEEP;
    this.#levels.push(level);
  }
}
