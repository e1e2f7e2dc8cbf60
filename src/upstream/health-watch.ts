/**
 * Hears at once when etcd says that it does not serve. It does so while it defragments, where it was told to
 * (`StopGRPCServiceOnDefrag`, 3.6; `--experimental-stop-grpc-service-on-defrag`, 3.5); in all other states it says that it
 * serves, or nothing, so that this is a sign in one direction only.
 */
import { Deframer, type MessageSink, type ReceiveLimits } from '../grpc/envelope.ts';
import { ErrorCode, type Http2Stream, requestAside, type StreamListener } from '../http2/index.ts';
import { HEALTH_REQUEST, HEALTH_WATCH } from './health-calls.ts';
import { requestBlock } from './request-block.ts';
import type { Route } from './route.ts';

/** `HealthCheckResponse{status: NOT_SERVING}`. */
const NOT_SERVING = Buffer.of(0x08, 2);

const LIMITS: ReceiveLimits = { maxBytes: 1024, tooLarge: () => 'no answer to a health check' };

export class HealthWatch implements StreamListener, MessageSink {
  readonly #notServing: () => void;
  readonly #deframer = new Deframer(LIMITS, undefined);

  private constructor(notServing: () => void) {
    this.#notServing = notServing;
  }

  /** Listens as long as the connection lives, once. Where etcd has no place for one more stream, or no such service, nothing is heard. */
  static open(route: Route, notServing: () => void): void {
    if (route.healthWatched) return;
    route.healthWatched = true;
    const { connection, endpoint } = route;
    const watch = new HealthWatch(notServing);
    requestAside(connection, requestBlock(endpoint, HEALTH_WATCH), watch)?.sendData(HEALTH_REQUEST, true);
  }

  onHeaders(): void {
    // What counts comes in messages.
  }

  onData(stream: Http2Stream, chunk: Buffer): void {
    if (this.#deframer.push(chunk, this) !== undefined) stream.reset(ErrorCode.CANCEL);
  }

  onMessage(message: Uint8Array): void {
    if (NOT_SERVING.equals(message)) this.#notServing();
  }

  onUnpacking(): object {
    return this; // no encoding was agreed on, so nothing comes packed
  }

  onUnpacked(): void {
    // See onUnpacking.
  }

  onTrailers(): void {
    // A server without this service; it is asked no more.
  }

  onEnd(stream: Http2Stream): void {
    if (stream.queuedBytes > 0) stream.reset(ErrorCode.NO_ERROR);
  }

  onDrain(): void {
    // The one request was queued as a whole.
  }

  onClose(): void {
    // With its connection, or because there is no such service.
  }
}
