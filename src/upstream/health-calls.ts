/** gRPC's health checks, which every release of etcd serves without credentials and from memory, as calls of our own. */
import { OWN_METADATA } from '../etcd/own-metadata.ts';
import { smallEnvelope } from '../grpc/envelope.ts';
import type { Method, MethodKind } from '../rpc/method.ts';
import { OwnCall } from '../rpc/own-call.ts';

function health(name: string, kind: MethodKind): OwnCall {
  const service = 'grpc.health.v1.Health';
  const method: Method = { path: `/${service}/${name}`, service, name, kind, idempotent: true, pace: 'slow' };
  return new OwnCall(method, OWN_METADATA, Number.POSITIVE_INFINITY);
}

/** Answered at once. */
export const HEALTH_CHECK: OwnCall = health('Check', 'unary');
/** Stays open: etcd tells of changes, and there are next to none. */
export const HEALTH_WATCH: OwnCall = health('Watch', 'server_stream');

/** A request about the server as a whole, in its envelope. */
export const HEALTH_REQUEST: Uint8Array = smallEnvelope(new Uint8Array(0)) as Buffer;
