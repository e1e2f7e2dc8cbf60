/** What the flags of the v2 proxy (`--proxy`) make of the services. */
import type { Config } from '../config/config.ts';
import type { Services } from '../rpc/contract.ts';
import { ReadOnlyServices } from '../services/read-only.ts';

/** The services that doors meet. */
export function withMode(config: Config, services: Services): Services {
  return config.proxy === 'readonly' ? new ReadOnlyServices(services) : services;
}
