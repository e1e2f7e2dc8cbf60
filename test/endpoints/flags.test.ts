/** The flags of sources: what they take, what does not go together, and that no refusal shows a password. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseCommandLine } from '../../src/config/command-line.ts';
import type { Config } from '../../src/config/config.ts';
import { discoveryEndpoints, discoveryUrl, fixedEndpoints } from '../../src/config/discovery.ts';
import { UsageError } from '../../src/config/usage-error.ts';
import { namesOf } from './observed.ts';

function configOf(...flags: string[]): Config {
  const command = parseCommandLine(['start', ...flags], {});
  assert.ok(command.name === 'start');
  return command.config;
}

function refusal(...flags: string[]): string {
  try {
    configOf(...flags);
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error));
    return error.message;
  }
  return assert.fail(`accepted: ${flags.join(' ')}`);
}

describe('flags of sources', () => {
  test('members are a name and a URL with a port; a name may have several', () => {
    const flag = '--initial-cluster=a=http://10.0.0.1:2380,b=https://h:1/,a=http://[::1]:3, c=HTTP://d:4';
    assert.deepEqual(namesOf(configOf(flag)['initial-cluster']), [
      'HTTP://d:4',
      'http://10.0.0.1:2380',
      'http://[::1]:3',
      'https://h:1/',
    ]);
    for (const value of [
      'a',
      'http://a:1',
      '=http://a:1',
      'a=a:1',
      'a=http://a',
      'a=unix:///a:1',
      'a=http://:x',
    ])
      assert.match(
        refusal(`--initial-cluster=${value}`),
        /want NAME=http:\/\/host:port, or https|want host:port/,
        value,
      );
  });

  test('a discovery URL names a cluster, and is not shown when it does not', () => {
    assert.equal(discoveryUrl(configOf('--discovery=https://u:p@h/v2/x'))?.host, 'h');
    for (const value of [
      'h/v2',
      'ftp://u:secret@h/v2',
      'http://u:secret@h',
      'http://u:secret@h/',
      'http://u:secret@:1/x',
      'http://u:secret@a~b/x',
    ]) {
      const message = refusal(`--discovery=${value}`);
      assert.match(message, /^--discovery wants a URL such as/, value);
      assert.ok(!message.includes('secret'));
    }
  });

  test('no refusal shows a password', () => {
    for (const flag of [
      '--endpoints=http://u:secret@h:x',
      '--endpoints=u:secret@h:1',
      '--endpoints=a:1,http://u:sec,ret@h:x',
      '--initial-cluster=a=ftp://u:secret@h:1',
      '--initial-cluster=a=http://u:secret@h:99999,b=http://u:secret@h:1',
    ]) {
      const message = refusal(flag);
      assert.match(message, /^invalid value ".*@h:\w+" for --/, flag);
      assert.ok(!/sec|ret/.test(message), message);
    }
  });

  test('what needs something else, and what names the same members twice', () => {
    assert.match(refusal('--discovery-token=t'), /need each other/);
    assert.match(refusal('--discovery-endpoints=h:1'), /need each other/);
    assert.match(refusal('--discovery-srv-name=n'), /needs --discovery-srv/);
    assert.match(refusal('--discovery=http://h/t', '--initial-cluster=a=http://a:1'), /choose one/);
    assert.match(refusal('--discovery-cert=a'), /--discovery-cert needs --discovery-key/);
    assert.match(refusal('--discovery-refresh-interval=1ms'), /want at least 100ms/);
  });

  test('the default of --endpoints holds where no others are looked for: somebody else may be there', () => {
    assert.deepEqual(namesOf(fixedEndpoints(configOf())), ['127.0.0.1:2379']);
    assert.deepEqual(fixedEndpoints(configOf('--discovery-srv=d')), []);
    assert.deepEqual(fixedEndpoints(configOf('--initial-cluster=a=http://a:1')), []);
    // Whatever is given is meant, also where it is the default.
    for (const endpoint of ['x:1', '127.0.0.1:2379'])
      assert.deepEqual(
        namesOf(fixedEndpoints(configOf('--discovery=http://h/t', `--endpoints=${endpoint}`))),
        [endpoint],
      );
  });

  test('a discovery service without a scheme speaks TLS where a flag about that is given', () => {
    const flags = ['--discovery-token=t', '--discovery-endpoints=a:1,http://b:1'];
    const secure = (...more: string[]) =>
      discoveryEndpoints(configOf(...flags, ...more)).map((endpoint) => endpoint.secure);
    assert.deepEqual(secure(), [false, false]);
    assert.deepEqual(secure('--discovery-cacert=ca.pem'), [true, false]);
  });
});
