/** The whole of h2spec (generic, hpack, http2) against the server role; its report stays in `.artifacts/`. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { encodeHeaders, type Http2Stream } from '../../src/http2/index.ts';
import { EngineServer, Exchange } from './support/exchange.ts';
import { installH2spec, run } from './support/tools.ts';

const OK = encodeHeaders([':status', '200', 'content-type', 'text/plain']);
const TRAILERS = encodeHeaders(['x-done', '1']);

class Answer extends Exchange {
  override onEnd(stream: Http2Stream): void {
    stream.sendReply(OK, Buffer.from('hello'), TRAILERS);
  }
}

test('h2spec passes in every case', async (t) => {
  const reason = installH2spec();
  if (reason !== false) {
    t.skip(reason);
    return;
  }
  const onStream = (stream: Http2Stream) => {
    stream.listener = new Answer();
  };
  await using server = new EngineServer(onStream, { maxConcurrentStreams: 100 });
  const port = await server.listen();
  mkdirSync('.artifacts', { recursive: true });
  const report = '.artifacts/h2spec-http2.xml';
  const output = await run('h2spec', '-h', '127.0.0.1', '-p', String(port), '-j', report, '-o', '5').catch(
    (error: { stdout?: string }) => error.stdout ?? String(error),
  );
  const summary = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(output);
  assert.ok(summary, output.slice(-2000));
  t.diagnostic(summary[0]);
  assert.equal(summary[4], '0', output.slice(output.indexOf('Failures:')));
  assert.equal(summary[3], '0', 'nothing is skipped');
  assert.ok(readFileSync(report, 'utf8').includes('testsuite'));
  for (const owner of server.owners) assert.deepEqual(owner.failures, []);
  for (const connection of server.connections) assert.equal(connection.openStreams, 0);
});
