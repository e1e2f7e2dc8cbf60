/**
 * Reads the parts of the web door, one in each turn of the event loop: all at once they would keep every other client
 * waiting for a third of a second. The order is that of need, so that no part brings much of another with it. Where a file
 * of ours uses a library, the file is named, since the build keeps only what is used.
 */
import type { bridge } from './http2-bridge.ts';
import type { createWebServer } from './server.ts';

/** What the door is made of. */
interface Parts {
  readonly bridge: typeof bridge;
  readonly createWebServer: typeof createWebServer;
}

const PARTS: readonly (() => Promise<unknown>)[] = [
  // The descriptors, first of what they are made with.
  () => import('@bufbuild/protobuf/codegenv2'),
  () => import('#gen/etcdserverpb/kv_pb.js'),
  () => import('#gen/etcdserverpb/auth_pb.js'),
  () => import('#gen/etcdserverpb/maintenance_pb.js'),
  () => import('./schemas.ts'),
  // Node.js reads the whole of its `fetch` for the second of these classes, which Connect uses.
  async () => ReadableStream,
  async () => new Headers(),
  () => import('./connect/error.ts'),
  () => import('./json-pieces.ts'),
  () => import('./decode-program.ts'),
  () => import('./gateway/routes.ts'),
  () => import('./gateway/websocket.ts'),
  () => import('./kv/routes.ts'),
  () => import('./connect/routes.ts'),
  () => import('fastify'),
  () => import('@fastify/cors'),
];

/** Reads them, and what joins them. @param rest is called before each, and settles in a later turn */
export async function readParts(rest: () => Promise<void>): Promise<Parts> {
  for (const read of PARTS) {
    await rest();
    await read();
  }
  await rest();
  const { bridge } = await import('./http2-bridge.ts');
  const { createWebServer } = await import('./server.ts');
  return { bridge, createWebServer };
}
