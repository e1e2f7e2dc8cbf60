/** Whom the proxy signs in to etcd: a user of its own, one for the whole process, and clients by their certificates. */
import { authenticate } from '../clients/authenticate.ts';
import { Login } from '../clients/login.ts';
import { MappedClients } from '../clients/mapped-clients.ts';
import type { Config } from '../config/config.ts';
import { UsageError } from '../config/usage-error.ts';
import { readUserFile, userFileOf } from '../config/user-file.ts';
import { Auth, KV } from '../etcd/methods.ts';
import type { LoginRecords } from '../observe/login-records.ts';
import type { Services, UnaryUpstream } from '../rpc/contract.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { Code, RpcError } from '../rpc/status.ts';
import type { BothSides } from '../tls/both-sides.ts';

interface Parts {
  readonly config: Config;
  readonly records: LoginRecords;
  readonly upstream: UnaryUpstream;
}

/** Builds it. Its file is read for every token, so that the password can be changed. */
export function buildLogin({ config, records, upstream }: Parts): Login {
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
  return new Login(signIn, { observer: records.own });
}

/** How long a question may take that finds out whether a token is good. Milliseconds. */
const QUESTION_MS = 5000;

interface ClientsParts {
  readonly records: LoginRecords;
  /** What clients sign in by as well, so that whoever takes note of tokens hears of these. */
  readonly services: Services;
  readonly upstream: UnaryUpstream;
  readonly tls: BothSides;
}

/** Builds those by certificates; `undefined` where no file names any. */
export function buildClients({ records, services, upstream, tls }: ClientsParts): MappedClients | undefined {
  if (tls.users === undefined) return undefined;
  const { path } = Auth.Authenticate;
  const door: UnaryUpstream = { unary: services.unary(path) ?? upstream.unary.bind(upstream) };
  const clients = new MappedClients({
    signIn: (user) => authenticate(door, user),
    read(metadata, request) {
      const call = new OwnCall(KV.Range, metadata, performance.now() + QUESTION_MS);
      return call.inTime(upstream.unary(request, call));
    },
    observer: records.clients,
  });
  tls.users.onLoad(({ users }) => clients.use(users));
  return clients;
}
