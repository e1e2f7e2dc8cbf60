/** The bytes of a request, at the pace at which there is memory for them. */
import type { IncomingMessage } from 'node:http';
import { Code, RpcError, TOO_MUCH_HELD } from '../rpc/status.ts';
import type { WebCall } from './call.ts';
import type { WebRequest } from './request-memory.ts';

/** What may happen to a request that is being read. */
const EVENTS = ['readable', 'end', 'error', 'close'] as const;

/**
 * The parts of the body. When they break off, the client has gone; when there is no memory for them, the call is
 * refused, whether or not more of them come, and so it is when the call has its refusal already. The request itself is left alone, also by a reader that stops early:
 * destroying it would close the connection before the answer.
 * @throws RpcError (rejects)
 */
export async function* bodyOf(
  raw: IncomingMessage,
  held: WebRequest | undefined,
  call?: WebCall,
): AsyncGenerator<Uint8Array> {
  const refused = (): boolean => held?.refused === true;
  while (!refused()) {
    if (call?.refusal) throw call.refusal;
    const part = raw.read() as Buffer | null;
    if (part !== null) {
      held?.body(part.length);
      await held?.room;
      if (!refused()) yield part;
    } else if (raw.readableEnded) {
      if (held) held.complete = true;
      return;
    } else if (raw.destroyed) throw clientGone();
    else await change(raw, held, call);
  }
  throw new RpcError(Code.RESOURCE_EXHAUSTED, TOO_MUCH_HELD);
}

/** The end of a call whose client does not wait for it. */
export function clientGone(): RpcError {
  return new RpcError(Code.CANCELLED, 'the client is gone');
}

function change(
  raw: IncomingMessage,
  held: WebRequest | undefined,
  call: WebCall | undefined,
): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of EVENTS) raw.off(event, done);
      resolve();
    };
    for (const event of EVENTS) raw.on(event, done);
    if (held) held.onRefused = done;
    if (call) call.onRefused = done;
  });
}
