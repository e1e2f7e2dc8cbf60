/** Where a web request came from, whatever protocol it is in. */
import type { IncomingMessage } from 'node:http';
import { type Client, clientOf } from '../rpc/client.ts';
import { outletOf, type WebOutlet } from './outlet.ts';

/** The sender of a request. */
export interface Sender {
  readonly client: Client;
  /** See `Call.authority`. */
  readonly authority: string;
  /** The way of replies to it. */
  readonly outlet: WebOutlet;
}

/** The sender of this request. */
export function senderOf({ socket, headers }: IncomingMessage): Sender {
  return { client: clientOf(socket), authority: headers.host ?? '', outlet: outletOf(socket) };
}
