/** What forwarding of etcd's v2 API needs of the rest of the proxy. */
import type { Socket } from 'node:net';

/** A member of the cluster that requests can be sent to. */
export interface V2Member {
  /** Its address as a URL, by which it is known. */
  readonly url: string;
  /** Begins to connect; a TLS socket where TLS is spoken. */
  readonly connect: () => Socket;
}

/** The flags of the v2 proxy that are times, in milliseconds; zero: no bound. */
export interface V2Times {
  /** For which a member that failed gets no requests. */
  readonly failureWait: number;
  /** After which the members are taken anew. */
  readonly refreshInterval: number;
  /** For a connection, TLS included. */
  readonly dialTimeout: number;
  /** In which a member has to take what is sent. */
  readonly writeTimeout: number;
  /** That a member may be silent to a request, also to one that waits for events. */
  readonly readTimeout: number;
}

/** Why a request was not answered by a member, in the words of the old proxy's metrics. */
export type Dropped =
  | 'zero_endpoints'
  | 'failed_sending_request'
  | 'failed_getting_response'
  | 'too_many_requests';

/** Hears of requests. */
export interface V2Observer {
  onRequest(method: string): void;
  /** A member has answered, or at least begun to. */
  onHandled(method: string, status: number, seconds: number): void;
  /** One member did not answer, or nobody did. */
  onDropped(method: string, why: Dropped): void;
}

/** How `/v2` is served. */
export interface V2Options {
  /** Only GET is forwarded. */
  readonly readOnly: boolean;
  /** Whether the order of the members is another one after each refresh; else it is as they are given. */
  readonly shuffled: boolean;
  /** The members there are now, in the order in which they are tried. */
  readonly members: () => readonly V2Member[];
  readonly times: V2Times;
  readonly observer: V2Observer;
}
