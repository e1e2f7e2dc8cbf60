/**
 * The network between the members of a cluster: a relay in front of each member's peer address, so that one member can
 * be cut off from the others while its clients reach it. A relay is reached by all other members, so it tells them apart
 * by the name that etcd puts into each request to a peer.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What etcd's requests to a peer say of their sender: its member id. */
const SENDER = /^X-Server-From: ([0-9a-f]+)\r$/im;

/** One connection between two members. */
interface Link {
  /** The member id of the one who opened it, as soon as it has said so. */
  sender: string | undefined;
  cut(): void;
}

/** The way to one member. */
class PeerRelay {
  readonly links = new Set<Link>();
  readonly listener: Server;
  /** Whether this member's peers are kept out. */
  closed = false;
  readonly #target: number;
  /** How much later what a peer says arrives, in milliseconds. */
  delayMs = 0;
  readonly #absent: ReadonlySet<string>;
  readonly #paces: ReadonlyMap<string, number>;

  constructor(target: number, absent: ReadonlySet<string>, paces: ReadonlyMap<string, number>) {
    this.#target = target;
    this.#absent = absent;
    this.#paces = paces;
    this.listener = createServer((peer) => this.#accept(peer));
  }

  #accept(peer: Socket): void {
    if (this.closed) {
      peer.destroy();
      return;
    }
    const member = connect(this.#target, '127.0.0.1');
    const cut = (): void => {
      peer.destroy();
      member.destroy();
      this.links.delete(link);
    };
    const link: Link = { sender: undefined, cut };
    this.links.add(link);
    for (const socket of [peer, member]) socket.setNoDelay(true).on('error', cut).on('close', cut);
    peer.on('data', (bytes: Buffer) => {
      link.sender ??= SENDER.exec(bytes.toString('latin1'))?.[1];
      if (link.sender !== undefined && this.#absent.has(link.sender)) cut();
      else this.#pass(bytes, member);
    });
    member.on('data', (bytes: Buffer) => {
      peer.write(bytes);
      const pace = this.#paces.get(link.sender ?? '');
      if (pace === undefined) return;
      member.pause();
      setTimeout(() => member.resume(), (1000 * bytes.length) / pace);
    });
  }

  #pass(bytes: Buffer, to: Socket): void {
    if (this.delayMs === 0) to.write(bytes);
    else setTimeout(() => to.write(bytes), this.delayMs);
  }
}

/** The relays of a cluster, in the order of its members. */
export class PeerLinks implements AsyncDisposable {
  readonly #relays: PeerRelay[] = [];
  /** The member ids of those who are cut off. */
  readonly #absent = new Set<string>();
  /** Bytes a second that those who are slow get from their peers on each connection, by their member ids. */
  readonly #paces = new Map<string, number>();

  /** Opens a relay to the peer address of one more member, and gives the relay's port. */
  async add(peerPort: number): Promise<number> {
    const relay = new PeerRelay(peerPort, this.#absent, this.#paces);
    this.#relays.push(relay);
    relay.listener.listen(0, '127.0.0.1');
    await once(relay.listener, 'listening');
    return (relay.listener.address() as AddressInfo).port;
  }

  /** Cuts the member at `index`, whose id is `id`, off from all others, in both directions. */
  cut(index: number, id: bigint): void {
    const own = this.#relays[index];
    if (own === undefined) throw new Error(`no relay to member ${index}`);
    const sender = id.toString(16);
    this.#absent.add(sender);
    own.closed = true;
    for (const relay of this.#relays) {
      for (const link of relay.links) if (relay === own || link.sender === sender) link.cut();
    }
  }

  /** Makes a member with this id slow to hear from its peers, so that it lags; heartbeats are small and come through. */
  slow(id: bigint, bytesPerSecond: number): void {
    this.#paces.set(id.toString(16), bytesPerSecond);
  }

  /** Whatever a member says to another one arrives so many milliseconds later. */
  delay(ms: number): void {
    for (const relay of this.#relays) relay.delayMs = ms;
  }

  /** Joins a member again. */
  heal(index: number, id: bigint): void {
    const own = this.#relays[index];
    if (own !== undefined) own.closed = false;
    this.#absent.delete(id.toString(16));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#relays.map(async ({ listener, links }) => {
        for (const link of links) link.cut();
        const closed = once(listener, 'close');
        listener.close();
        await closed;
      }),
    );
  }
}
