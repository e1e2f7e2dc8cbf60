/**
 * What goes along with the pings of one connection, so that etcd never takes them for too many. gRPC servers count
 * the pings between which they have sent nothing but acknowledgements, and close the connection at the third that
 * comes sooner than they like; without a stream, sooner than in two hours. So what they would count is followed by a
 * question that makes etcd answer, and a connection without streams gets one of ours.
 */
import {
  ErrorCode,
  type Http2Connection,
  type Http2Stream,
  IGNORING,
  requestAside,
  type StreamListener,
} from '../http2/index.ts';
import type { Endpoint } from '../net/endpoint.ts';
import type { OwnCall } from '../rpc/own-call.ts';
import { HEALTH_CHECK, HEALTH_REQUEST, HEALTH_WATCH } from './health-calls.ts';
import { requestBlock } from './request-block.ts';

/**
 * While etcd closes a connection no question can be asked, and a third ping too soon would end the calls that are
 * left. So only one in SELDOM of the pings that etcd would count is sent (one in 70 s by default).
 */
const SELDOM = 7;

/** The streams of ours beside the pings of one connection. They end with it. */
export class PingCompany {
  readonly #endpoint: Endpoint;
  #question: Http2Stream | undefined;
  #held: Http2Stream | undefined;
  #keptBack = 0;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  /**
   * A ping is about to be sent; false when it must not be.
   * @param quiet etcd would count it
   */
  join(connection: Http2Connection, quiet: boolean): boolean {
    if (quiet && connection.draining) return ++this.#keptBack % SELDOM === 0;
    if (quiet && this.#question === undefined)
      this.#question = this.#open(connection, HEALTH_CHECK, () => {
        this.#question = undefined;
      });
    if (connection.openStreams > 0) return true;
    this.#held ??= this.#open(connection, HEALTH_WATCH, () => {
      this.#held = undefined;
    });
    return this.#held !== undefined;
  }

  #open(connection: Http2Connection, call: OwnCall, onClose: () => void): Http2Stream | undefined {
    const stream = requestAside(connection, requestBlock(this.#endpoint, call), aside(onClose));
    stream?.sendData(HEALTH_REQUEST, true);
    return stream;
  }
}

/** Ignores the answer. The connection notices by itself that something arrived. */
function aside(onClose: () => void): StreamListener {
  return {
    ...IGNORING,
    // Answered before the request was through, which waits for a window.
    onEnd: (stream) => {
      if (stream.queuedBytes > 0) stream.reset(ErrorCode.NO_ERROR);
    },
    onClose,
  };
}
