/** Hostile requests of the web door. */
import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Assault } from './assault.ts';

const TEXT_BODIES = 5;
const WITH_TRAILER = 50;

/** A large range that is not held in memory, and its keys. */
export const JSON_RANGE = { key: 'json/', rangeEnd: 'json0', keys: 200, valueBytes: 100_000 };

const base64 = (text: string): string => Buffer.from(text).toString('base64');

const largeJson: Assault = {
  name: 'a large range as JSON',
  pauseMs: 3000,
  async round(address) {
    const answer = await fetch(`http://${address}/etcdserverpb.KV/Range`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ key: base64(JSON_RANGE.key), rangeEnd: base64(JSON_RANGE.rangeEnd) }),
    });
    const bytes = (await answer.arrayBuffer()).byteLength;
    assert.equal(answer.status, 200);
    assert.ok(bytes > JSON_RANGE.keys * JSON_RANGE.valueBytes, `${bytes} bytes`);
    return 1;
  },
};

/** Bytes that are sometimes base64, sometimes cut where it cannot be, padded in the middle, or anything at all. */
function oddText(): string {
  const bytes = randomBytes(randomInt(1, 3000));
  const text = bytes.toString('base64');
  const kinds = [
    text,
    text.slice(0, randomInt(text.length)),
    text.replaceAll('A', '='),
    `${text}====${text}`,
    bytes.toString('latin1'),
    '='.repeat(text.length),
    base64(`\x00\x7f\xff\xff\xff${text}`),
  ];
  return kinds[randomInt(kinds.length)] as string;
}

const oddTexts: Assault = {
  name: 'odd gRPC-Web text bodies',
  pauseMs: 200,
  async round(address) {
    const paths = ['/etcdserverpb.KV/Put', '/etcdserverpb.KV/Range', '/etcdconnect.v1.Browser/Watch'];
    const post = async (): Promise<void> => {
      const answer = await fetch(`http://${address}${paths[randomInt(paths.length)]}`, {
        method: 'POST',
        headers: { 'content-type': 'application/grpc-web-text', 'x-grpc-web': '1' },
        body: Buffer.from(oddText(), 'latin1'),
        signal: AbortSignal.timeout(2000),
      });
      await answer.text();
    };
    await Promise.allSettled(Array.from({ length: TEXT_BODIES }, post));
    return TEXT_BODIES;
  },
};

const trailers: Assault = {
  name: 'requests with a trailer field',
  pauseMs: 500,
  async round(address) {
    const session = connect(`http://${address}`);
    session.on('error', () => {}); // each request fails as well
    try {
      const ask = async (): Promise<void> => {
        const asked = session.request({
          ':method': 'POST',
          ':path': '/etcdserverpb.KV/Range',
          'content-type': 'application/json',
          trailer: 'x',
        });
        asked.end('{}');
        asked.resume();
        const [fields] = (await once(asked, 'response')) as [{ ':status': number }];
        assert.equal(fields[':status'], 400);
      };
      await Promise.all(Array.from({ length: WITH_TRAILER }, ask));
      await sleep(10);
    } finally {
      session.destroy();
    }
    return WITH_TRAILER;
  },
};

/** Every one of them. */
export const WEB_ASSAULTS: readonly Assault[] = [largeJson, oddTexts, trailers];
