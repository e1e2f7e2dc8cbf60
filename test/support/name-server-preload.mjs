/** Loaded into a program before its own code (`node --import`): SRV records are asked of `TEST_NAME_SERVER` alone. */
import { Resolver } from 'node:dns/promises';

const original = Resolver.prototype.resolveSrv;
const told = new WeakSet();

Resolver.prototype.resolveSrv = function resolveSrv(name) {
  // Not while it has questions open.
  if (!told.has(this)) this.setServers([process.env.TEST_NAME_SERVER]);
  told.add(this);
  return original.call(this, name);
};
