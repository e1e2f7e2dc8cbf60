/** A stream that gives back what it gets, at the pace at which it is read, and trailers at the end. */
import type { Http2Stream } from '../../../src/http2/index.ts';
import { Exchange } from './exchange.ts';
import { TRAILERS } from './play.ts';

export class Echo extends Exchange {
  override onData(stream: Http2Stream, chunk: Buffer): void {
    if (!stream.sendData(chunk)) stream.pause();
  }
  override onDrain(stream: Http2Stream): void {
    stream.resume();
  }
  override onEnd(stream: Http2Stream): void {
    stream.sendTrailers(TRAILERS);
  }
}
