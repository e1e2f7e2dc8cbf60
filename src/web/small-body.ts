/**
 * Bodies of requests that say they are small. Most come with the head of their request, so they are read with one wait for
 * all of it; `bodyOf` waits for each part.
 */
import type { IncomingMessage } from 'node:http';
import { Code, RpcError, TOO_MUCH_HELD } from '../rpc/status.ts';
import type { WebCall } from './call.ts';
import { GrownBytes } from './grown-bytes.ts';
import { clientGone } from './request-body.ts';
import type { WebRequest } from './request-memory.ts';

/** The most that such a body says it has. Bytes. */
const SMALL_BYTES = 16 << 10;

/** Whether the body of a request says that it is small. */
export function isSmall({ headers }: IncomingMessage): boolean {
  const length = headers['content-length'];
  return length !== undefined && Number(length) <= SMALL_BYTES;
}

/**
 * All of the body. What may become of it is what may become of `bodyOf`.
 * @throws RpcError (rejects)
 */
export function smallBody(
  raw: IncomingMessage,
  held: WebRequest | undefined,
  call: WebCall,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    if (call.refusal) {
      reject(call.refusal);
      return;
    }
    let only: Uint8Array | undefined;
    let grown: GrownBytes | undefined;
    const onData = (part: Uint8Array): void => {
      held?.body(part.length);
      if (only === undefined) only = part;
      else {
        grown ??= grownFrom(only);
        grown.append(part);
      }
      const room = held?.room;
      if (room === undefined) return;
      raw.pause();
      // It never rejects.
      void room.then(() => raw.resume());
    };
    const fail = (): void => {
      raw.off('data', onData);
      const refused = held?.refused === true;
      reject(call.refusal ?? (refused ? new RpcError(Code.RESOURCE_EXHAUSTED, TOO_MUCH_HELD) : clientGone()));
    };
    raw.on('data', onData);
    raw.on('end', () => {
      if (held) held.complete = true;
      raw.off('close', fail);
      resolve(grown?.take() ?? only ?? NOTHING);
    });
    raw.on('close', fail);
    if (held) held.onRefused = fail;
    call.onRefused = fail;
  });
}

const NOTHING = new Uint8Array(0);

function grownFrom(part: Uint8Array): GrownBytes {
  const grown = new GrownBytes();
  grown.append(part);
  return grown;
}
