/**
 * Where calls come from. There is one object for each connection, made when it is accepted and shared by its calls; doors
 * find it by what they have of the connection, and only when somebody asks.
 */

/** The other end of a connection. */
export interface Client {
  /** Its address, as `host:port`; empty where it has none, as on a Unix socket. */
  readonly address: string;
  /** Where it came in: the address or path that the proxy listens on. */
  readonly listener: string;
  /** The address of the proxy that it connected to, as `host:port`; empty on a Unix socket. */
  readonly local: string;
  /** The namespace of what listens there; empty: it serves every key. */
  readonly namespace: string;
  /** The subject of the certificate that it has shown, where clients have to show one. */
  readonly certificate: string | undefined;
  /** The common name in it, if there is exactly one. */
  readonly commonName: string | undefined;
}

/** The proxy itself, where it calls on its own account, or for several clients at once. */
export const ITSELF: Client = {
  address: '',
  listener: '',
  local: '',
  namespace: '',
  certificate: undefined,
  commonName: undefined,
};

const clients = new WeakMap<object, Client>();

/** What comes on this connection, or on this stand-in for one, comes from that client. */
export function noteClient(connection: object, client: Client): void {
  clients.set(connection, client);
}

/** Who is at the other end of a connection. */
export function clientOf(connection: object): Client {
  return clients.get(connection) ?? ITSELF;
}
