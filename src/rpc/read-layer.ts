/** The way of a Range request through the proxy: layers, each of which answers it or asks the one below. */
import type { Call } from './contract.ts';

export interface ReadLayer {
  /**
   * Answers an encoded RangeRequest, synchronously where the answer is at hand. Neither the request nor the answer is
   * changed by anybody afterwards. @throws RpcError (or rejects with one) with the status for the client
   */
  read(request: Uint8Array, call: Call): Uint8Array | Promise<Uint8Array>;
}
