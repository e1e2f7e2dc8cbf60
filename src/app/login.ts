/** The proxy's own user, one for the whole process. */
import type { Registry } from '@prometheus-io/client';
import { authenticate } from '../clients/authenticate.ts';
import { Login } from '../clients/login.ts';
import type { Config } from '../config/config.ts';
import { UsageError } from '../config/usage-error.ts';
import { readUserFile, userFileOf } from '../config/user-file.ts';
import type { Logger } from '../observe/log.ts';
import { LoginRecords } from '../observe/login.ts';
import type { UnaryUpstream } from '../rpc/contract.ts';
import { Code, RpcError } from '../rpc/status.ts';

interface Parts {
  readonly config: Config;
  readonly registry: Registry;
  readonly log: Logger;
  readonly upstream: UnaryUpstream;
}

/** Builds it. Its file is read for every token, so that the password can be changed. */
export function buildLogin({ config, registry, log, upstream }: Parts): Login {
  const records = new LoginRecords(registry, log);
  const file = userFileOf(config);
  if (file === undefined) return new Login(undefined);
  const signIn = async () => {
    try {
      return await authenticate(upstream, readUserFile(file));
    } catch (error) {
      if (error instanceof UsageError) throw new RpcError(Code.UNAUTHENTICATED, error.message);
      throw error;
    }
  };
  return new Login(signIn, records);
}
