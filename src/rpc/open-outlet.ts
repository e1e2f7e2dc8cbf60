/** The outlet of calls whose replies never wait for a client. */
import type { Outlet } from './contract.ts';

/** The outlet of calls whose replies stay in the proxy. */
export const OPEN_OUTLET: Outlet = {
  room: true,
  wait(waiter) {
    setImmediate(() => waiter.onRoom());
  },
  leave() {
    // A waiter that was called too late ignores the call.
  },
};
