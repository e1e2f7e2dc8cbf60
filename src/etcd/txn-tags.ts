/** The tags of transactions, for all who read one. */

/** Of the fields of `TxnRequest`. */
export const TxnTag = { compare: 0x0a, success: 0x12, failure: 0x1a } as const;

/** Of the fields of `RequestOp`, as far as somebody asks for one. */
export const OperationTag = { range: 0x0a, txn: 0x22 } as const;
