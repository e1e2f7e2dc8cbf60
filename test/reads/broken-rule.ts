/** Coalescing as it must not be: reads join a call that was sent before they arrived. The proof must notice. */
import type { UnaryHandler, Upstream } from '../../src/rpc/contract.ts';
import { forwardLater } from '../../src/rpc/forward.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';

/** A handler that breaks the joining rule. */
export function joinWhatWasSent(upstream: Upstream): UnaryHandler {
  const sent = new Map<string, Promise<Uint8Array>>();
  return (request, call) => {
    const key = Buffer.from(request).toString('latin1');
    let reply = sent.get(key);
    if (reply === undefined) {
      const own = new OwnCall(call.method, call.metadata, Number.POSITIVE_INFINITY);
      reply = forwardLater(upstream, request, own).finally(() => sent.delete(key));
      sent.set(key, reply);
    }
    return reply;
  };
}
