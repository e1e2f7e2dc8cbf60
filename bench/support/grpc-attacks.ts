/**
 * What hostile clients say in well-formed gRPC: requests that look like others and cost memory. Each goes on as fast as it
 * is answered, on so many connections.
 */
import { randomBytes } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import { RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { RawGrpcClient } from '../../test/support/raw-grpc.ts';
import { b, WatchCall } from '../../test/support/watch-client.ts';

/** Mirrored by our proxy while it is attacked. */
export const MIRRORED = 'mirrored/';

/** One attack. */
export interface GrpcAttack {
  readonly name: string;
  /** Does it once, or a few times; again with a new client where it fails. */
  readonly round: (client: RawGrpcClient) => Promise<void>;
}

const AT_ONCE = 10;

/** A key that no other request has. */
const longKey = (first: string, bytes: number): string =>
  `${first}${randomBytes(8).toString('hex')}`.padEnd(bytes, 'k');

/** Every attack. */
export const GRPC_ATTACKS: readonly GrpcAttack[] = [
  {
    name: 'refused watches with long keys',
    async round(client) {
      const call = new WatchCall(client);
      call.create({ key: b('first') });
      await call.must();
      for (let i = 0; i < AT_ONCE; i++)
        call.create({ key: b(longKey('b', 250_000)), rangeEnd: b(longKey('a', 250_000)) });
      for (let i = 0; i < AT_ONCE; i++) await call.must();
      call.close();
    },
  },
  {
    name: 'reads of long keys with invented tokens',
    async round(client) {
      const read = (): Promise<unknown> => {
        const key = b(longKey(MIRRORED, 700_000));
        const request = toBinary(RangeRequestSchema, create(RangeRequestSchema, { key }));
        const metadata = { token: randomBytes(20).toString('hex') };
        return client.call('/etcdserverpb.KV/Range', [request], { metadata });
      };
      await Promise.all(Array.from({ length: AT_ONCE }, read));
    },
  },
];

/** The attack of a name, if it is one of these. */
export function grpcAttackNamed(name: string): GrpcAttack | undefined {
  return GRPC_ATTACKS.find((attack) => attack.name === name);
}

/** Attacks until the process ends. `cut` is told of every client whose call failed. */
export function attackForever(
  attack: GrpcAttack,
  address: string,
  connections: number,
  cut: () => void,
): void {
  const one = async (): Promise<void> => {
    for (;;) {
      using client = new RawGrpcClient(address);
      try {
        for (;;) await attack.round(client);
      } catch {
        cut();
      }
    }
  };
  for (let i = 0; i < connections; i++) void one();
}
