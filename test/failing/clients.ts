/** The clients of a rehearsal. */
import { RawGrpcClient } from '../support/raw-grpc.ts';

const ROUND_ROBIN = JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] });

/** A client that goes to all its addresses in turns, as etcd's own does; most have one. */
export function openClient(address: string): RawGrpcClient {
  return new RawGrpcClient(address, { 'grpc.service_config': ROUND_ROBIN });
}
