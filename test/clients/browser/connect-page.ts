/** What a page does with Connect's own client for browsers. The test calls what is at the end, in the page. */
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-web';
import { Browser } from '#gen/etcdconnect/v1/browser_pb.js';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';

type Protocol = 'connect' | 'grpc-web';

const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
const text = (value: Uint8Array | undefined): string => new TextDecoder().decode(value);

function transportOf(protocol: Protocol, baseUrl: string): Transport {
  return protocol === 'connect' ? createConnectTransport({ baseUrl }) : createGrpcWebTransport({ baseUrl });
}

/** What a call is rejected with. */
async function refusal(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'none';
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    return `${Code[code]}: ${rawMessage}`;
  }
}

/** Unary calls, and errors with their codes. */
async function unary(protocol: Protocol, base: string, name: string): Promise<unknown> {
  const transport = transportOf(protocol, base);
  const client = createClient(KV, transport);
  const key = bytes(name);
  const value = bytes('\u0000ü'.repeat(10_000));
  await client.put({ key, value });
  const { kvs } = await client.range({ key });
  const lease = await createClient(Lease, transport).leaseGrant({ TTL: 60n });
  const beat = await createClient(Browser, transport).leaseKeepAliveOnce({ ID: lease.ID });
  return {
    same: text(kvs[0]?.value) === text(value),
    beat: Number(beat.TTL),
    errors: [
      await refusal(client.range({})),
      await refusal(client.put({ key, lease: 1n })),
      await refusal(client.range({ key, revision: 10n ** 9n })),
    ],
  };
}

/** A watch while somebody writes every so often, given up in the end. All times in milliseconds. */
async function watch(protocol: Protocol, base: string, name: string, ms: number, everyMs: number) {
  const transport = transportOf(protocol, base);
  const client = createClient(KV, transport);
  const gone = new AbortController();
  const key = bytes(name);
  let [written, seen, created] = [0, 0, 0];
  const watching = (async () => {
    const responses = createClient(Browser, transport).watch({ key }, { signal: gone.signal });
    for await (const response of responses) {
      if (response.created) created++;
      for (const event of response.events) {
        const value = text(event.kv?.value);
        if (value !== String(++seen)) throw new Error(`event ${seen} says ${value}`);
      }
    }
  })();
  const ended = refusal(watching);
  // What keeps it from getting there ends the watch.
  let over = false;
  void ended.then(() => {
    over = true;
  });
  while (created === 0 && !over) await new Promise((resolve) => setTimeout(resolve, 20));
  for (const end = performance.now() + ms; performance.now() < end; ) {
    await client.put({ key, value: bytes(String(++written)) });
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  while (seen < written && !over) await new Promise((resolve) => setTimeout(resolve, 20));
  gone.abort();
  return { created, all: seen === written && written > 1, ended: await ended };
}

/** With auth on: without a token, with a wrong one, with one, and what it may not do. */
async function auth(protocol: Protocol, base: string): Promise<unknown> {
  const transport = transportOf(protocol, base);
  const client = createClient(KV, transport);
  const key = bytes('auth');
  const { token } = await createClient(Auth, transport).authenticate({ name: 'reader', password: 'secret' });
  const headers = { authorization: token };
  return [
    await refusal(client.range({ key })),
    await refusal(client.range({ key }, { headers: { authorization: 'wrong' } })),
    await refusal(client.range({ key }, { headers })),
    await refusal(client.put({ key }, { headers })),
    await refusal(createClient(Auth, transport).authenticate({ name: 'reader', password: 'wrong' })),
  ];
}

Object.assign(globalThis, { connectPage: { unary, watch, auth } });
