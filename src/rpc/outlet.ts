/** Replies that nobody has to wait with. */
import type { Outlet } from './contract.ts';

/** The outlet of calls whose replies stay in the proxy. */
export const OPEN: Outlet = {
  room: true,
  wait(waiter) {
    setImmediate(() => waiter.onRoom());
  },
  leave() {
    // Whoever is told too late passes it over.
  },
};
