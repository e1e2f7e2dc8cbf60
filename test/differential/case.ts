/** A case of the differential suite, and the short ways to write one down. */
import type { EtcdInstall } from '../support/etcd.ts';
import type { Rpc } from './rpc.ts';
import type { Script } from './script.ts';

/** Something to do on every side. Its keys begin with its own name or that of its group. */
export interface Case {
  readonly name: string;
  readonly run: (script: Script) => Promise<void>;
  /** Why a release is left out, if it is. */
  readonly skip?: (install: EtcdInstall) => string | false;
}

/** A case that makes calls one after the other. */
export function calls(name: string, ...list: readonly Rpc[]): Case {
  return { name, run: (script) => script.runAll(list) };
}

/** A case that needs more than a list of calls. */
export function script(name: string, run: (script: Script) => Promise<void>): Case {
  return { name, run };
}
