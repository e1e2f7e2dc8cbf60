/** The command line: precedence, spelling, refusals, and that the documentation says the same as the table. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { type Command, type Config, parseCommandLine, UsageError } from '../src/config/config.ts';
import { environmentName, FLAGS } from '../src/config/flags.ts';
import { flagsDocument, helpText } from '../src/config/usage.ts';
import { PARSERS } from '../src/config/values.ts';

function configOf(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Config {
  const command: Command = parseCommandLine(['start', ...args], environment);
  assert.equal(command.name, 'start');
  return (command as { config: Config }).config;
}

function refusal(args: readonly string[], environment: NodeJS.ProcessEnv = {}): string {
  try {
    parseCommandLine(args, environment);
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error));
    assert.ok(!error.message.includes('\n'), 'one line');
    return error.message;
  }
  return assert.fail(`accepted: ${args.join(' ')}`);
}

describe('the table of flags', () => {
  test('docs/flags.md is what the table says', () => {
    assert.equal(readFileSync('docs/flags.md', 'utf8'), flagsDocument());
  });

  test('--help names every flag', () => {
    const help = helpText();
    for (const flag of FLAGS) assert.ok(help.includes(`--${flag.name} `), flag.name);
  });

  test('every default is a value of its type', () => {
    for (const flag of FLAGS) assert.doesNotThrow(() => PARSERS[flag.type](flag.default), flag.name);
  });

  test('names are unique', () => {
    assert.equal(new Set(FLAGS.map((flag) => flag.name)).size, FLAGS.length);
  });

  test('every flag of etcd grpc-proxy start is there', () => {
    const names = new Set(FLAGS.map((flag) => flag.name));
    const missing = INCUMBENT_FLAGS.filter((name) => !names.has(name));
    assert.deepEqual(missing, []);
  });
});

describe('parsing', () => {
  test('a flag goes before the environment, and that before the default', () => {
    const environment = { ETCD_PROXY_LISTEN_ADDR: '127.0.0.1:2', ETCD_PROXY_DIAL_TIMEOUT: '7s' };
    const config = configOf(['--listen-addr=127.0.0.1:1'], environment);
    assert.deepEqual(config.get('address', 'listen-addr').target, { host: '127.0.0.1', port: 1 });
    assert.equal(config.get('duration', 'dial-timeout'), 7000);
    assert.equal(config.get('bytes', 'max-send-bytes'), 1_572_864);
    assert.deepEqual(
      ['listen-addr', 'dial-timeout', 'max-send-bytes'].map((name) => config.source(name)),
      ['flag', 'environment', 'default'],
    );
  });

  test('start and grpc-proxy start are the same', () => {
    const plain = parseCommandLine(['start', '--endpoints=a:1'], {});
    const incumbent = parseCommandLine(['grpc-proxy', 'start', '--endpoints', 'a:1'], {});
    assert.deepEqual(incumbent, plain);
  });

  test('flags take =, a space, one dash, and booleans stand alone', () => {
    assert.equal(configOf(['-dial-timeout', '3s']).get('duration', 'dial-timeout'), 3000);
    assert.equal(configOf(['--debug']).get('boolean', 'debug'), true);
    assert.equal(configOf(['--debug=false']).get('boolean', 'debug'), false);
  });

  test('durations as Go writes them', () => {
    assert.equal(configOf(['--dial-timeout=1m2.5s']).get('duration', 'dial-timeout'), 62_500);
    assert.equal(configOf(['--dial-timeout=0']).get('duration', 'dial-timeout'), 0);
  });

  test('endpoints with and without scheme, on IPv6 and Unix sockets', () => {
    const endpoints = configOf(['--endpoints=a:1, http://b:2,[::1]:3,unix:///run/e.sock,c']).get(
      'endpoints',
      'endpoints',
    );
    assert.deepEqual(
      endpoints.map((endpoint) => endpoint.target),
      [
        { host: 'a', port: 1 },
        { host: 'b', port: 2 },
        { host: '::1', port: 3 },
        { path: '/run/e.sock' },
        { host: 'c', port: 2379 },
      ],
    );
    assert.deepEqual(
      endpoints.map((endpoint) => endpoint.authority),
      ['a:1', 'b:2', '[::1]:3', 'localhost', 'c:2379'],
    );
  });

  test('help and version', () => {
    assert.equal(parseCommandLine(['--help'], {}).name, 'help');
    assert.equal(parseCommandLine(['start', '--help'], {}).name, 'help');
    assert.equal(parseCommandLine(['--version'], {}).name, 'version');
  });
});

describe('what is refused is named', () => {
  test('unknown flags, commands and arguments', () => {
    assert.match(refusal(['start', '--no-such-flag=1']), /--no-such-flag/);
    assert.match(refusal(['stop']), /"stop"/);
    assert.match(refusal(['start', 'stray']), /"stray"/);
    assert.match(refusal([]), /missing command/);
    assert.match(refusal(['start', '--endpoints']), /--endpoints needs a value/);
  });

  test('bad values, by flag or by variable', () => {
    assert.match(refusal(['start', '--max-send-bytes=many']), /"many" for --max-send-bytes/);
    assert.match(refusal(['start', '--dial-timeout=5']), /--dial-timeout/);
    assert.match(refusal(['start', '--endpoints=a:1:2']), /--endpoints/);
    assert.match(refusal(['start', '--listen-addr=x:99999']), /--listen-addr.*out of range/);
    assert.match(refusal(['start'], { ETCD_PROXY_DEBUG: 'maybe' }), /ETCD_PROXY_DEBUG/);
  });

  test('protection that does not exist yet stops the start', () => {
    for (const flag of FLAGS.filter((candidate) => candidate.pending === 'refused')) {
      const value = flag.type === 'boolean' ? 'true' : 'x';
      assert.match(
        refusal(['start', `--${flag.name}=${value}`]),
        new RegExp(`--${flag.name} is not supported yet`),
      );
      assert.match(refusal(['start'], { [environmentName(flag.name)]: value }), new RegExp(`--${flag.name}`));
    }
    assert.doesNotThrow(() => configOf(['--namespace=', '--insecure-skip-tls-verify=false']));
    assert.match(refusal(['start', '--endpoints=https://a:1']), /TLS to etcd/);
    assert.match(refusal(['start', '--endpoints=unixs:///a']), /TLS to etcd/);
    assert.match(refusal(['start', '--listen-addr=https://a:1']), /TLS to clients/);
  });
});

/** The flags of `etcd grpc-proxy start` as its own help lists them in etcd 3.7. */
const INCUMBENT_FLAGS = [
  'listen-addr',
  'endpoints',
  'endpoints-auto-sync-interval',
  'discovery-srv',
  'discovery-srv-name',
  'insecure-discovery',
  'metrics-addr',
  'dial-keepalive-time',
  'dial-keepalive-timeout',
  'permit-without-stream',
  'advertise-client-url',
  'resolver-prefix',
  'resolver-ttl',
  'namespace',
  'enable-pprof',
  'data-dir',
  'max-send-bytes',
  'max-recv-bytes',
  'grpc-keepalive-min-time',
  'grpc-keepalive-interval',
  'grpc-keepalive-timeout',
  'cert',
  'key',
  'cacert',
  'insecure-skip-tls-verify',
  'cert-file',
  'key-file',
  'trusted-ca-file',
  'listen-cipher-suites',
  'auto-tls',
  'self-signed-cert-validity',
  'client-crl-file',
  'tls-min-version',
  'tls-max-version',
  'experimental-serializable-ordering',
  'experimental-leasing-prefix',
  'experimental-enable-grpc-logging',
  'debug',
  'max-concurrent-streams',
];
