/** Stands in for a service before it has taken a client's stream, and after it has let go of it. */
import type { ServerStreamListener } from './contract.ts';

const ignore = (): void => {};

/** Hears a client and does nothing. */
export const NO_STREAM_LISTENER: ServerStreamListener = {
  onMessage: ignore,
  onHalfClose: ignore,
  onDrain: ignore,
  onCancel: ignore,
};
