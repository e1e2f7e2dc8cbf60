/** Methods as the proxy knows them, for tests that have descriptors. */
import type { DescMethod } from '@bufbuild/protobuf';
import { ETCD_METHODS, unknownMethod } from '../../src/etcd/methods.ts';
import type { Method } from '../../src/rpc/method.ts';
import { Browser } from '../../src/services/browser.ts';
import { Health } from '../../src/services/health.ts';
import { pathOf } from '../../src/web/schemas.ts';

/** All known ones, by path. */
export const METHODS: ReadonlyMap<string, Method> = new Map(
  [...ETCD_METHODS, ...Object.values(Browser), ...Object.values(Health)].map((method) => [
    method.path,
    method,
  ]),
);

/** The method at a path, known or not. */
export function methodAt(path: string): Method {
  return METHODS.get(path) ?? unknownMethod(path);
}

/** The method that a descriptor describes. */
export function methodOf(descriptor: DescMethod): Method {
  return methodAt(pathOf(descriptor));
}
