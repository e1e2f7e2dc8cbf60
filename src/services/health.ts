/**
 * `grpc.health.v1.Health`: the proxy serves when the cluster answers through it. As in etcd, the only service
 * name is the empty one.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '#gen/grpc/health/v1/health_pb.js';
import { methodsOf } from '../etcd/methods.ts';
import type { ServerStream, ServerStreamListener } from '../rpc/contract.ts';
import { Code, RpcError } from '../rpc/status.ts';
import type { OwnMethod } from './table.ts';

export const Health = methodsOf('grpc.health.v1.Health', {
  Check: { idempotent: true },
  Watch: { kind: 'server_stream' },
});

/** How often the cluster is asked while somebody watches, in milliseconds. */
const WATCH_INTERVAL_MS = 2000;

/** The handlers. `healthy` asks the cluster and never rejects. */
export function healthService(healthy: () => Promise<boolean>): OwnMethod[] {
  return [
    { method: Health.Check, unary: (request) => check(request, healthy) },
    {
      method: Health.Watch,
      stream: (client) => {
        client.listener = new HealthWatch(client, healthy);
      },
    },
  ];
}

async function check(request: Uint8Array, healthy: () => Promise<boolean>): Promise<Uint8Array> {
  if (serviceName(request) !== '') throw new RpcError(Code.NOT_FOUND, 'unknown service');
  return encode((await healthy()) ? ServingStatus.SERVING : ServingStatus.NOT_SERVING);
}

function serviceName(request: Uint8Array): string {
  try {
    return fromBinary(HealthCheckRequestSchema, request).service;
  } catch {
    throw new RpcError(Code.INVALID_ARGUMENT, 'etcd-connect-proxy: malformed HealthCheckRequest');
  }
}

function encode(status: ServingStatus): Uint8Array {
  return toBinary(HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status }));
}

/** One client's watch: the status now, then every change. */
class HealthWatch implements ServerStreamListener {
  readonly #client: ServerStream;
  readonly #healthy: () => Promise<boolean>;
  #timer: NodeJS.Timeout | undefined;
  #last: ServingStatus | undefined;
  #over = false;

  constructor(client: ServerStream, healthy: () => Promise<boolean>) {
    this.#client = client;
    this.#healthy = healthy;
  }

  onMessage(request: Uint8Array): void {
    if (this.#last !== undefined) return;
    try {
      const known = serviceName(request) === '';
      this.#last = ServingStatus.UNKNOWN;
      if (known) this.#poll();
      else this.#client.send(encode(ServingStatus.SERVICE_UNKNOWN));
    } catch (error) {
      this.onCancel();
      this.#client.end(RpcError.from(error));
    }
  }

  onHalfClose(): void {
    // A server stream: the client has nothing more to say and goes on reading.
  }

  onDrain(): void {
    // Changes are rare and small; the latest is sent whether or not the client keeps up.
  }

  onCancel(): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }

  #poll(): void {
    void this.#healthy().then((healthy) => {
      if (this.#over) return;
      const status = healthy ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
      if (status !== this.#last) this.#client.send(encode(status));
      this.#last = status;
      this.#timer = setTimeout(() => this.#poll(), WATCH_INTERVAL_MS);
    });
  }
}
