/** The README is executed: its commands run, and what they print is what it promises. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { newestEtcd } from './support/etcd.ts';
import { runProcess, startProcess } from './support/process.ts';

const readme = readFileSync('README.md', 'utf8');
const commands = [...readme.matchAll(/^```sh\n(.*?)^```/gms)].flatMap(([, block]) =>
  (block as string).trim().split('\n'),
);

function scriptsOf(): Readonly<Record<string, string>> {
  return (JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> }).scripts;
}

/** curl gave up waiting, as it was told. */
const TIMED_OUT = 28;

/** Runs a line of the README. */
async function run(command: string, path: string): Promise<string> {
  const shell = (text: string) => runProcess('sh', ['-c', text], { env: { PATH: path } });
  let finished = await shell(command);
  // A watch has one second, which a busy machine may need before it says anything.
  if (finished.code === TIMED_OUT && !/"events":\[|^event: synced$/m.test(finished.stdout))
    finished = await shell(command.replace('--max-time 1', '--max-time 10'));
  const { code, stdout, stderr } = finished;
  const ended = code === 0 || (code === TIMED_OUT && command.includes('--max-time'));
  assert.ok(ended, `${command}\n${stdout}${stderr}`);
  return stdout;
}

test('npm start brings up etcd and a proxy, on which every etcdctl and curl line and the script of the README works', async () => {
  // As npm does it, but for the build: signals go to the shell.
  const { start } = scriptsOf();
  const script = start?.replace('npm run -s build', 'true');
  assert.notEqual(script, start);
  await using proxy = await startProcess('sh', ['-c', `${script} "$@"`, 'sh', '--listen-addr=127.0.0.1:0']);
  const line = await proxy.waitForLine(/"msg":"started gRPC proxy"/, 120_000);
  const { address } = JSON.parse(line) as { address: string };
  await proxy.waitForLine(/curl http:.*\/health/, 30_000);
  const { etcdctl } = await newestEtcd();
  const path = `${etcdctl ? `${dirname(etcdctl)}:` : ''}${process.env.PATH}`;
  const lines = commands.filter((command) => /^(etcdctl|curl) /.test(command));
  assert.ok(lines.length >= 5, `${lines.length} lines found`);
  const here = (text: string): string => text.replaceAll('127.0.0.1:23790', address);
  const outputs: string[] = [];
  for (const command of lines) outputs.push(await run(here(command), path));
  const all = outputs.join('\n');
  for (const expected of [
    /^OK$/m,
    /^greeting\nhello$/m,
    /"value":"aGVsbG8="/,
    /^\{"result":\{.*"created":true\}\}$/m,
    /^\{"result":\{.*"events":\[/m,
    /^event: synced$/m,
    /"etcdserver":"\d/,
    /\{"health":"true"/,
    /^grpc_server_handled_total\{/m,
  ]) {
    assert.match(all, expected);
  }
  const [, page = ''] = /^```js\n(.*?)^```/ms.exec(readme) ?? [];
  {
    await using client = await startProcess(process.execPath, ['--input-type=module', '-e', here(page)]);
    await client.waitForLine(/^now hello$/, 30_000);
    await client.waitForLine(/^changed at \d+n$/, 30_000);
  }
  await proxy.stop('SIGINT', 30_000);
  assert.equal(proxy.exit?.code, 0, 'Ctrl-C ends it cleanly');
});

test('the commands for a fresh machine are scripts of the package', () => {
  const scripts = scriptsOf();
  assert.deepEqual(commands.slice(0, 2), ['npm ci && npm start', 'npm ci && npm test']);
  for (const command of commands) {
    for (const [, name] of command.matchAll(/npm (?:run )?(start|test|build|bench:\w+)/g))
      assert.ok(scripts[name as string], command);
  }
  assert.match(readFileSync('.ci/run', 'utf8'), /^npm ci\nnpm test$/m);
});
