/**
 * Under which address clients reach this proxy: what its user says (`--advertise-client-url`), else the one that it listens on,
 * which on all addresses of a machine (`0.0.0.0`, `::`) is the one that the client dialled.
 */
import type { Client } from '../rpc/client.ts';

/** What is known of whoever asks. */
export interface AskingClient {
  readonly client: Pick<Client, 'listener' | 'local' | 'namespace'>;
  /** See `Call.authority`. */
  readonly authority: string;
}

/** All addresses of a machine, and its own one of the same family, on which somebody listens as well. */
const LOOPBACK: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '[::]': '[::1]' };

const HOST_AND_PORT = /^(.*):(\d+)$/s;

/** A host, which the longest name in DNS is long at most (RFC 1035 2.3.4), or an address in brackets; and a port. */
const DIALLED = /^(?:[\w.-]{1,255}|\[[\da-f:.]{2,45}\]):[1-9]\d{0,4}$/i;

/** IPv4 as IPv6 writes it, for a client that came by IPv4 to a listener for both. */
const MAPPED = /^\[::ffff:(\d+\.\d+\.\d+\.\d+)\]/i;

export class OwnAddress {
  readonly #advertised: string | undefined;
  #main = '';
  #path = false;
  #namespace = '';

  /** @param advertised what the user says; `undefined`: nothing */
  constructor(advertised: string | undefined) {
    this.#advertised = advertised;
  }

  /**
   * The main listener is there now.
   * @param address as `host:port`, or a path
   * @param isPath whether it is one
   * @param namespace of its clients; empty: none
   */
  onListening(address: string, isPath: boolean, namespace: string): void {
    this.#main = address;
    this.#path = isPath;
    this.#namespace = namespace;
  }

  /** Whether somebody has the keys of the main listener, the one that the user's address and the registration are about. */
  isInMainNamespace({ client }: AskingClient): boolean {
    return client.namespace === this.#namespace;
  }

  /** Whether no single address is known to be good for all who come by the main listener. */
  get depends(): boolean {
    return this.#advertised === undefined && !this.#path && loopbackFor(this.#main) !== undefined;
  }

  /** The one under which the proxy is registered. On all addresses of a machine it is good on that machine only. */
  get registered(): string {
    if (this.#advertised !== undefined) return this.#advertised;
    if (this.#path) return urlOf(this.#main);
    return loopbackFor(this.#main) ?? this.#main;
  }

  /** The one for whoever asks. */
  toldTo(asker: AskingClient): string {
    const { client, authority } = asker;
    if (this.#advertised !== undefined && this.isInMainNamespace(asker)) return this.#advertised;
    const { listener, local } = client;
    if (local === '') return urlOf(listener);
    if (loopbackFor(listener) === undefined) return listener;
    return DIALLED.test(authority) ? authority : local.replace(MAPPED, '$1');
  }
}

/** `undefined`: it is one address. */
function loopbackFor(address: string): string | undefined {
  const [, host = '', port = ''] = HOST_AND_PORT.exec(address) ?? [];
  const loopback = LOOPBACK[host];
  return loopback && `${loopback}:${port}`;
}

function urlOf(path: string): string {
  return `unix://${path}`;
}
