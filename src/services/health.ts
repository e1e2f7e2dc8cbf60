/**
 * `grpc.health.v1.Health`: the proxy serves when the cluster answers through it. As in etcd, the only service
 * name is the empty one.
 */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { BoundedFields, TOO_MANY_FIELDS } from '../etcd/bounded-fields.ts';
import { methodsOf } from '../etcd/methods.ts';
import type { ServerStream, ServerStreamListener } from '../rpc/contract.ts';
import { Code, RpcError } from '../rpc/status.ts';
import type { OwnMethod } from './table.ts';

/** gRPC's health checks. */
export const Health = methodsOf('grpc.health.v1.Health', {
  Check: { idempotent: true },
  Watch: { kind: 'server_stream' },
});

/** `HealthCheckRequest.service` and `HealthCheckResponse.status`. */
const SERVICE_FIELD = 1;
const STATUS_TAG = 0x08;

/** `HealthCheckResponse.ServingStatus`. */
const ServingStatus = { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } as const;
type ServingStatus = (typeof ServingStatus)[keyof typeof ServingStatus];

/** How often the cluster is asked while somebody watches, in milliseconds. */
const WATCH_INTERVAL_MS = 2000;

/** The handlers. `healthy` asks the cluster and never rejects. */
export function healthService(healthy: () => Promise<boolean>): OwnMethod[] {
  return [
    { method: Health.Check, unary: (request) => check(request, healthy) },
    {
      method: Health.Watch,
      stream: (client) => {
        client.listener = new ClientHealthWatch(client, healthy);
      },
    },
  ];
}

async function check(request: Uint8Array, healthy: () => Promise<boolean>): Promise<Uint8Array> {
  if (serviceName(request) !== '') throw new RpcError(Code.NOT_FOUND, 'unknown service');
  return encode((await healthy()) ? ServingStatus.SERVING : ServingStatus.NOT_SERVING);
}

function serviceName(request: Uint8Array): string {
  let name = '';
  try {
    const fields = new BoundedFields(request);
    while (fields.next()) {
      if (fields.is(SERVICE_FIELD, WireType.LengthDelimited)) name = fields.reader.string(true);
      else fields.skip();
    }
  } catch (error) {
    if (error === TOO_MANY_FIELDS) throw error;
    throw new RpcError(Code.INVALID_ARGUMENT, 'etcd-connect-proxy: malformed HealthCheckRequest');
  }
  return name;
}

function encode(status: ServingStatus): Uint8Array {
  const writer = new BinaryWriter();
  if (status !== ServingStatus.UNKNOWN) writer.uint32(STATUS_TAG).int32(status);
  return writer.finish();
}

/** One client's watch: the status now, then every change. */
class ClientHealthWatch implements ServerStreamListener {
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
