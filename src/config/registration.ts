/** Whether and how the proxy registers itself, as the flags say. */
import type { Config } from './config.ts';
import { WHERE_IT_LISTENS } from './registration-flags.ts';
import { UsageError } from './usage-error.ts';

/** The exit code of `etcd grpc-proxy` where flags do not go together. */
const INCUMBENT_EXIT_CODE = 1;

/** Where and for how long a proxy is registered. */
export interface RegistrationSettings {
  readonly prefix: string;
  /** Seconds that it stays when its proxy does not renew it. */
  readonly ttl: number;
}

/** `undefined`: it does not register. */
export function registrationOf(config: Config): RegistrationSettings | undefined {
  const [prefix, ttl] = [config['resolver-prefix'], config['resolver-ttl']];
  return prefix === '' ? undefined : { prefix, ttl };
}

/** What the user says that clients shall be told; `undefined`: where the proxy listens; empty: nothing of it. */
export function advertisedOf(config: Config): string | undefined {
  const address = config['advertise-client-url'];
  return address === WHERE_IT_LISTENS ? undefined : address;
}

/** What `etcd grpc-proxy start` refuses, in its words and with its exit code. @throws UsageError */
export function checkRegistration(config: Config): void {
  const [prefix, ttl] = [config['resolver-prefix'], config['resolver-ttl']];
  const address = config['advertise-client-url'];
  const refuse = (text: string): never => {
    throw new UsageError(text, INCUMBENT_EXIT_CODE);
  };
  if (prefix !== '' && ttl < 1) refuse(`invalid resolver-ttl ${ttl}`);
  if (prefix === '' && ttl > 0) refuse(`invalid resolver-prefix ${JSON.stringify(prefix)}`);
  if (prefix !== '' && address === '') refuse(`invalid advertise-client-url ${JSON.stringify(address)}`);
}
