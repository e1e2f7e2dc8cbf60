/** docs/http.md is executed: its commands run, and get the answers that it promises. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { noCurl } from './clients/curl/curl.ts';
import { startEtcd } from './support/etcd.ts';
import { runProcess } from './support/process.ts';
import { startProxy } from './support/proxy.ts';

/** What each of them gets, in their order. */
const EXPECTED: readonly RegExp[] = [
  /^$/,
  /^hello$/,
  /^\{"key":"greeting","value":"hello","create_revision":"2","mod_revision":"2","version":"1"\}$/,
  /^\[\n\{"key":"greeting","create_revision":"2",.*\}\n\]$/,
  /^$/,
  /^\{"deleted":"1"\}$/,
  /^\{"deleted":"1"\}$/,
  /^$/,
  /^\{"error":.*"code":9,/,
  /^event: snapshot\ndata: \{"key":"counter","value":"first",.*\}\n\nevent: synced\nid: \d+\ndata: \{"revision":"\d+"\}$/,
  /^\{"header":\{.*"revision":"\d+".*\}\}$/,
  /"kvs":\[\{"key":"Z3JlZXRpbmc=".*"value":"aGVsbG8="\}\],"count":"1"\}$/,
  /"count":"1"/,
  /"succeeded":true/,
  /^\{"header":\{[^}]*\}\}$/,
  /"ID":"7587862094632915973","TTL":"60"/,
  /^\{"result":\{.*"ID":"7587862094632915973","TTL":"60"\}\}$/,
  /^\{"etcdserver":"\d+\.\d+\.\d+","etcdcluster":"/,
  /"created":true\}\}\n\{"result":.*"events":\[\{"kv":\{"key":"Z3JlZXRpbmc="/,
  /"kvs":\[\{"key":"Z3JlZXRpbmc=","createRevision":/,
  /"kvs":\[\{"key":"Z3JlZXRpbmc=","createRevision":/,
  /^\{"code":"invalid_argument","message":"etcdserver: key is not provided"\}$/,
];

/** curl gave up waiting, as it was told. */
const TIMED_OUT = 28;

test('every curl line of docs/http.md works', { skip: noCurl }, async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  const page = readFileSync('docs/http.md', 'utf8');
  const lines = [...page.matchAll(/^```sh\n(.*?)^```/gms)].flatMap(([, block]) =>
    (block as string).trim().split('\n'),
  );
  assert.equal(lines.length, EXPECTED.length);
  for (const [at, line] of lines.entries()) {
    const command = line.replaceAll('127.0.0.1:23790', proxy.address).replace('curl', 'curl --silent');
    const expected = EXPECTED[at] as RegExp;
    let finished = await runProcess('sh', ['-c', command]);
    // A watch has one second, which a busy machine may need before it says anything.
    if (finished.code === TIMED_OUT && !expected.test(finished.stdout.trim()))
      finished = await runProcess('sh', ['-c', command.replace('--max-time 1', '--max-time 10')]);
    const { code, stdout, stderr } = finished;
    assert.ok(code === 0 || (code === TIMED_OUT && line.includes('--max-time')), `${line}\n${stderr}`);
    assert.match(stdout.trim(), expected, line);
  }
});
