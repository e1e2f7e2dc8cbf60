/** The command line: precedence, spelling, refusals, and that the documentation says the same as the table. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Command, parseCommandLine } from '../src/config/command-line.ts';
import type { Config, Settings } from '../src/config/config.ts';
import { exitsWhenFull, refreshInterval } from '../src/config/discovery.ts';
import { flag, number } from '../src/config/flag.ts';
import { FLAGS } from '../src/config/flags.ts';
import { ownHosts } from '../src/config/hosts.ts';
import { ANY } from '../src/config/limits.ts';
import { listeningOf } from '../src/config/listening.ts';
import { advertisedOf, registrationOf } from '../src/config/registration.ts';
import { unknownVariables } from '../src/config/spelling.ts';
import { endpoints, ineffectiveTls, serverTls } from '../src/config/tls.ts';
import { flagsDocument, helpText } from '../src/config/usage.ts';
import { UsageError } from '../src/config/usage-error.ts';
import { readUserFile, userFileOf } from '../src/config/user-file.ts';
import { PARSERS } from '../src/config/values.ts';
import type { Endpoint } from '../src/net/endpoint.ts';

function settingsOf(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Settings {
  const command: Command = parseCommandLine(['start', ...args], environment);
  assert.ok(command.name === 'start');
  return command;
}

function configOf(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Config {
  return settingsOf(args, environment).config;
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

describe('namespaces of listeners', () => {
  test('an address has all behind the first = for its prefix', () => {
    const flags = [
      '--listen-namespace=127.0.0.1:1=a/',
      '--listen-namespace',
      'unix:///tmp/s=b=c/, [::1]:2= 0/ ',
    ];
    const listening = configOf(flags)['listen-namespace'];
    assert.deepEqual(
      listening.map(({ address, prefix }) => [address.name, prefix]),
      [
        ['127.0.0.1:1', 'a/'],
        ['unix:///tmp/s', 'b=c/'],
        ['[::1]:2', ' 0/ '],
      ],
    );
    assert.deepEqual(configOf([])['listen-namespace'], []);
  });

  test('one without a prefix would serve every key, and is refused', () => {
    for (const value of ['127.0.0.1:1', '127.0.0.1:1=', '=a/', '127.0.0.1:99999=a/'])
      assert.match(
        refusal(['start', `--listen-namespace=${value}`]),
        /^invalid value ".*" for --listen-namespace: /,
      );
    assert.match(refusal(['start', '--namespace-isolation=on']), /want keys or strict$/);
  });

  test('TLS is spoken on all of them or on none', () => {
    assert.match(
      refusal(['start', '--listen-namespace=https://127.0.0.1:1=a/']),
      /^--listen-namespace=https.* needs --cert/,
    );
    assert.match(
      refusal(['start', '--auto-tls', '--listen-namespace=http://127.0.0.1:1=a/']),
      /says plaintext/,
    );
    const { pair } = serverTls(configOf(['--auto-tls', '--listen-namespace=h.example:1=a/'])) ?? {};
    assert.ok(pair && 'hosts' in pair);
    assert.deepEqual(pair.hosts, ['127.0.0.1', 'h.example']);
  });
});

describe('registration', () => {
  const refused = (...args: string[]): string => refusal(['start', ...args]);

  test('needs a prefix, a time to live and an address, or none of the first two', () => {
    assert.equal(refused('--resolver-prefix=p'), 'invalid resolver-ttl 0');
    assert.equal(refused('--resolver-prefix=p', '--resolver-ttl=-7'), 'invalid resolver-ttl -7');
    assert.equal(refused('--resolver-ttl=7'), 'invalid resolver-prefix ""');
    const both = ['--resolver-prefix=p', '--resolver-ttl=7'];
    assert.equal(refused(...both, '--advertise-client-url='), 'invalid advertise-client-url ""');
    assert.deepEqual(registrationOf(configOf(both)), { prefix: 'p', ttl: 7 });
    for (const none of [[], ['--resolver-ttl=-7'], ['--advertise-client-url=']])
      assert.equal(registrationOf(configOf(none)), undefined);
    assert.match(refused('--resolver-ttl=9000000001'), /want at most 9000000000$/);
  });

  test('is under the address that was given, also where that is the default of the incumbent', () => {
    assert.equal(advertisedOf(configOf([])), undefined);
    assert.equal(advertisedOf(configOf(['--advertise-client-url=127.0.0.1:23790'])), '127.0.0.1:23790');
    assert.equal(advertisedOf(configOf(['--advertise-client-url='])), '');
  });
});

describe('the host names of the proxy', () => {
  const own = (args: readonly string[], name: string) => ownHosts(configOf(args))(name);

  test('are those it listens on, advertises and was told', () => {
    const args = [
      '--listen-addr=proxy.example:1',
      '--metrics-addr=http://metrics.example:2',
      '--listen-namespace=team.example:4=a/',
      '--advertise-client-url=http://Known.Example:3',
      '--host-whitelist=a.example,B.example',
    ];
    for (const name of [
      'proxy.example',
      'metrics.example',
      'team.example',
      'known.example',
      'a.example',
      'b.example',
    ])
      assert.ok(own(args, name), name);
    assert.ok(!own(args, 'evil.example'));
    assert.ok(!own(args, ''));
  });

  test('are none by default, and any with *', () => {
    assert.ok(!own([], 'evil.example'));
    assert.ok(!own([], 'auto'));
    assert.ok(!own(['--listen-addr=:1', '--advertise-client-url=no address'], ''));
    assert.ok(own(['--host-whitelist=*'], 'evil.example'));
  });
});

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
    const names = new Set<string>(FLAGS.map((flag) => flag.name));
    const missing = INCUMBENT_FLAGS.filter((name) => !names.has(name));
    assert.deepEqual(missing, []);
  });
});

test('a wrong name or a wrong type does not compile', () => {
  const config = configOf([]);
  const timeout: number = config['dial-timeout'];
  const endpoint: readonly Endpoint[] = config.endpoints;
  // @ts-expect-error it is a number
  const text: string = config['dial-timeout'];
  // @ts-expect-error there is no such flag
  const misspelt = config['dial-time-out'];
  // @ts-expect-error settings do not change
  config['dial-timeout'] = timeout;
  // @ts-expect-error a number needs limits
  const unlimited = number('bytes', '1', 'help');
  // @ts-expect-error a number is not declared without limits
  const plain = flag('bytes', '1', 'help');
  // @ts-expect-error the default is text, as on the command line
  const parsed = number('bytes', 1, ANY, 'help');
  assert.deepEqual([timeout, text, misspelt], [2000, timeout, undefined]);
  assert.equal(endpoint.length, 1);
  assert.deepEqual([unlimited.type, plain.type, parsed.type], ['bytes', 'bytes', 'bytes']);
});

describe('parsing', () => {
  test('a flag goes before the environment, and that before the default', () => {
    const environment = { ETCD_PROXY_LISTEN_ADDR: '127.0.0.1:2', ETCD_PROXY_DIAL_TIMEOUT: '7s' };
    const { config, sources } = settingsOf(['--listen-addr=127.0.0.1:1'], environment);
    assert.deepEqual(config['listen-addr'].target, { host: '127.0.0.1', port: 1 });
    assert.equal(config['dial-timeout'], 7000);
    assert.equal(config['max-send-bytes'], 67_108_864);
    assert.deepEqual(
      [sources['listen-addr'], sources['dial-timeout'], sources['max-send-bytes']],
      ['flag', 'environment', 'default'],
    );
  });

  test('start and grpc-proxy start are the same', () => {
    const plain = parseCommandLine(['start', '--endpoints=a:1'], {});
    const incumbent = parseCommandLine(['grpc-proxy', 'start', '--endpoints', 'a:1'], {});
    assert.deepEqual(incumbent, plain);
  });

  test('flags take =, a space, one dash, and booleans stand alone', () => {
    assert.equal(configOf(['-dial-timeout', '3s'])['dial-timeout'], 3000);
    assert.equal(configOf(['--debug']).debug, true);
    assert.equal(configOf(['--debug=false']).debug, false);
  });

  test('a switch is on or off', () => {
    assert.equal(configOf([])['read-coalescing'], true);
    assert.equal(configOf(['--read-coalescing=off'])['read-coalescing'], false);
    assert.match(refusal(['start', '--read-coalescing=no']), /--read-coalescing: want on or off/);
  });

  test('durations as Go writes them', () => {
    assert.equal(configOf(['--dial-timeout=1m2.5s'])['dial-timeout'], 62_500);
    assert.equal(configOf(['--cache-wait=0'])['cache-wait'], 0);
    for (const [text, ms] of [
      ['+1s', 1000],
      ['.5s', 500],
      ['1.s', 1000],
      ['1500us', 1.5],
    ] as const) {
      assert.equal(configOf([`--dial-timeout=${text}`])['dial-timeout'], ms, text);
    }
  });

  test('a duration beyond what a timer takes is as long as one', async () => {
    const longest = configOf(['--dial-timeout=2562047h'])['dial-timeout'];
    assert.equal(configOf(['--dial-timeout=1000h'])['dial-timeout'], longest);
    const fired = new Promise((resolve) => setTimeout(resolve, 2 * longest - 1).unref());
    const first = await Promise.race([fired, new Promise((resolve) => setTimeout(resolve, 50, 'not yet'))]);
    assert.equal(first, 'not yet');
    assert.match(refusal(['start', '--dial-timeout=2562048h']), /below 292 years/);
  });

  test('whole numbers as Go writes them', () => {
    for (const [text, value] of [
      ['2048', 2048],
      ['+2048', 2048],
      ['0x800', 2048],
      ['0X800', 2048],
      ['0o4000', 2048],
      ['04000', 2048],
      ['0b100000000000', 2048],
    ] as const) {
      assert.equal(configOf([`--max-send-bytes=${text}`])['max-send-bytes'], value, text);
    }
    for (const text of [
      '',
      ' ',
      '1e9',
      '0x',
      '09',
      '1_000',
      'NaN',
      'Infinity',
      '1.0',
      '-0',
      '9007199254740993',
    ])
      assert.match(refusal(['start', `--max-send-bytes=${text}`]), /--max-send-bytes: want a/, text);
  });

  test('endpoints with and without scheme, on IPv6 and Unix sockets', () => {
    const endpoints = configOf(['--endpoints=a:1, http://b:2,[::1]:3,unix:///run/e.sock,c']).endpoints;
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

  test('endpoints as URLs: the case of the scheme does not matter, nor does what follows the port', () => {
    const texts = [
      'HTTP://a:1',
      'Https://b:2/',
      'http://c:3/path?query#fragment',
      'http://d:4?query',
      'https://user:secret@e:5/path',
      'http://[::1]:6/path',
      'UNIX:///run/e.sock',
      'UnixS:///run/e.sock',
    ];
    const endpoints = configOf([`--endpoints=${texts.join(',')}`]).endpoints;
    assert.deepEqual(
      endpoints.map(({ scheme, secure, authority }) => [scheme, secure, authority]),
      [
        ['http', false, 'a:1'],
        ['https', true, 'b:2'],
        ['http', false, 'c:3'],
        ['http', false, 'd:4'],
        ['https', true, 'e:5'],
        ['http', false, '[::1]:6'],
        ['unix', false, 'localhost'],
        ['unixs', true, 'localhost'],
      ],
    );
    assert.equal(
      endpoints[4]?.name,
      'https://e:5/path',
      'credentials, which etcd ignores, are in no log line',
    );
    assert.match(refusal(['start', '--endpoints=a:1/path']), /--endpoints/);
    assert.match(refusal(['start', '--endpoints=ftp://a:1']), /--endpoints/);
  });

  test('the zone of an IPv6 address, which URLs write with an escaped percent sign (RFC 6874)', () => {
    const texts = [
      '[fe80::1%eth0]:1',
      'http://[fe80::1%25eth0]:1',
      'https://[fe80::1%eth0.7]:1',
      '[fe80::1%br-0a]:1',
    ];
    assert.deepEqual(
      configOf([`--endpoints=${texts.join(',')}`]).endpoints.map(({ target, serverName }) => [
        target,
        serverName,
      ]),
      ['eth0', 'eth0', 'eth0.7', 'br-0a'].map((zone) => [{ host: `fe80::1%${zone}`, port: 1 }, 'fe80::1']),
    );
    for (const text of ['[fe80::1%]:1', 'http://[fe80::1%25]:1', '[fe80::1%a%b]:1', '[fe80::1%a/b]:1'])
      assert.match(refusal(['start', `--endpoints=${text}`]), /--endpoints/, text);
  });

  test('flags that hold a list may be repeated', () => {
    const names = (args: readonly string[]) => configOf(args)['metrics-addr'].map(({ name }) => name);
    const repeated = ['--metrics-addr=http://a:1', '--metrics-addr', 'https://b:2', ...PAIR];
    assert.deepEqual(names(repeated), ['http://a:1', 'https://b:2']);
    assert.deepEqual(names(['--metrics-addr=http://a:1,http://b:2']), ['http://a:1', 'http://b:2']);
    assert.equal(configOf(['--endpoints=a:1', '--endpoints=b:2']).endpoints.length, 2);
  });

  test('help and version', () => {
    assert.equal(parseCommandLine(['--help'], {}).name, 'help');
    assert.equal(parseCommandLine(['start', '--help'], {}).name, 'help');
    assert.equal(parseCommandLine(['--version'], {}).name, 'version');
  });
});

describe('command lines of the v2 proxy', () => {
  const startOf = (...args: string[]) => {
    const command = parseCommandLine(args, {});
    assert.equal(command.name, 'start');
    return command.config;
  };

  test('need no command, and one dash does', () => {
    const config = startOf(
      '-proxy',
      'on',
      '-listen-client-urls',
      'http://127.0.0.1:8080',
      '-initial-cluster=a=http://b:2380',
    );
    assert.equal(config.proxy, 'readwrite');
    assert.deepEqual(
      listeningOf(config).map(({ address }) => address.authority),
      ['127.0.0.1:8080'],
    );
    assert.equal(startOf('--proxy=readonly').proxy, 'readonly');
    assert.equal(startOf('-debug').proxy, undefined);
  });

  test('addresses add up, and stand beside --listen-addr where that is given', () => {
    const urls = ['--listen-client-urls=http://a:1,http://b:2', '--listen-client-urls', 'c:3'];
    const listening = (...args: string[]) =>
      listeningOf(startOf(...args)).map(({ address }) => address.authority);
    assert.deepEqual(listening(...urls), ['a:1', 'b:2', 'c:3']);
    assert.deepEqual(listening(...urls, '--listen-addr=d:4'), ['d:4', 'a:1', 'b:2', 'c:3']);
    // Whatever is given is meant, also where it is the default.
    const own = '127.0.0.1:23790';
    assert.deepEqual(listening(...urls, `--listen-addr=${own}`), [own, 'a:1', 'b:2', 'c:3']);
    assert.deepEqual(
      listeningOf(configOf(urls, { ETCD_PROXY_LISTEN_ADDR: own })).map(({ address }) => address.authority),
      [own, 'a:1', 'b:2', 'c:3'],
    );
    assert.match(
      refusal(['--listen-client-urls=https://a:1']),
      /^--listen-client-urls=https:\/\/a:1 needs --cert-file/,
    );
  });

  test('what becomes of a full cluster', () => {
    const exits = (...args: string[]) => exitsWhenFull(startOf('--discovery=http://a:1/v2/keys/b', ...args));
    assert.equal(exits(), false);
    for (const flag of [
      'discovery-fallback=exit',
      'proxy-fallback=exit',
      'proxy-fallback=false',
      'proxy-fallback=off',
    ]) {
      assert.equal(exits(`--${flag}`), true, flag);
      // Who says that it is to be a proxy falls back to nothing.
      assert.equal(exits(`--${flag}`, '--proxy=on'), false, flag);
    }
    assert.match(refusal(['--discovery-fallback=maybe']), /want proxy or exit/);
  });

  test('members are asked again as often as its flag says', () => {
    assert.equal(refreshInterval(startOf('--proxy-refresh-interval', '1500')), 1500);
    assert.equal(
      refreshInterval(startOf('--proxy-refresh-interval=1500', '--discovery-refresh-interval=7s')),
      7000,
    );
    assert.equal(
      refreshInterval(startOf('--proxy-refresh-interval=1500', '--discovery-refresh-interval=30s')),
      30_000,
    );
    assert.equal(refreshInterval(startOf('--debug')), 30_000);
  });
});

describe('what is refused is named', () => {
  test('an address to listen on without a port: the port of etcd would be none of its own', () => {
    for (const flag of [
      '--listen-addr=127.0.0.1',
      '--listen-addr=[::1]',
      '--listen-addr=http://a',
      '--listen-namespace=127.0.0.1=a/',
      '--metrics-addr=http://127.0.0.1',
    ])
      assert.match(refusal(['start', flag]), /^invalid value ".*" for --.*: want host:port/, flag);
    const { 'listen-addr': any } = configOf(['--listen-addr=:0', '--metrics-addr=unix:///tmp/s']);
    assert.deepEqual(any.target, { host: '', port: 0 });
    const { 'listen-client-urls': urls } = configOf(['--listen-client-urls=http://127.0.0.1']);
    assert.equal(urls[0]?.authority, '127.0.0.1:2379', 'as in URLs of etcd');
  });

  test('a flag that is mistyped, with the one that was meant', () => {
    for (const [typed, meant] of [
      ['listen-adr', 'listen-addr'],
      ['endpoint', 'endpoints'],
      ['namespace-isolatoin', 'namespace-isolation'],
      ['user_file', 'user-file'],
    ])
      assert.equal(
        refusal(['start', `--${typed}=x`]),
        `unknown flag --${typed} (--${meant} is one; see --help)`,
      );
    for (const typed of ['no-such-flag', 'x', 'colour', 'a'.repeat(100_000)])
      assert.equal(refusal(['start', `--${typed}=x`]), `unknown flag --${typed} (see --help)`);
  });

  test('environment variables that set no flag', () => {
    const some = { ETCD_PROXY_LISTEN_ADR: '', ETCD_PROXY_X: '', ETCD_PROXY_LISTEN_ADDR: '', PATH: '' };
    assert.deepEqual(unknownVariables(some), ['ETCD_PROXY_LISTEN_ADR', 'ETCD_PROXY_X']);
    const kubernetes = ['SERVICE_HOST', 'SERVICE_PORT', 'SERVICE_PORT_GRPC', 'PORT', 'PORT_2379_TCP_ADDR'];
    assert.deepEqual(
      unknownVariables(Object.fromEntries(kubernetes.map((n) => [`ETCD_PROXY_${n}`, '']))),
      [],
    );
  });

  test('what has no effect without another flag', () => {
    const strict = ['start', '--namespace-isolation=strict'];
    assert.equal(refusal(strict), '--namespace-isolation=strict needs --namespace or --listen-namespace');
    for (const flag of ['--namespace=a/', '--listen-namespace=a:1=a/'])
      assert.doesNotThrow(() => parseCommandLine([...strict, flag], {}));
    for (const flag of ['--discovery-fallback', '--proxy-fallback'])
      assert.equal(refusal([`${flag}=exit`]), `${flag}=exit needs --discovery or --discovery-token`);
    // etcd takes the fallback with all of these, also where it has no effect.
    for (const others of [
      ['--discovery=http://a:1/v2/keys/b'],
      ['--discovery-token=t', '--discovery-endpoints=http://a:1'],
      ['--discovery-srv=example.com'],
      ['--initial-cluster=a=http://a:1'],
      ['--proxy=on'],
      ['--listen-client-urls=http://a:1'],
    ])
      for (const flag of ['--discovery-fallback', '--proxy-fallback'])
        assert.doesNotThrow(() => configOf([`${flag}=exit`, ...others]), others.join(' '));
  });

  test('unknown flags, commands and arguments', () => {
    assert.match(refusal(['start', '--no-such-flag=1']), /--no-such-flag/);
    assert.match(refusal(['stop']), /"stop"/);
    assert.match(refusal(['start', 'stray']), /"stray"/);
    assert.match(refusal([]), /missing command/);
    assert.match(refusal(['start', '--endpoints']), /--endpoints needs a value/);
  });

  test('a cache that would be stale, with the one that is not', () => {
    const message = refusal(['start', '--experimental-leasing-prefix=leases/']);
    assert.match(message, /^--experimental-leasing-prefix .*--cache-prefix=PREFIX/);
    assert.doesNotMatch(message, /\n/);
    assert.doesNotThrow(() => configOf(['--experimental-leasing-prefix=']));
  });

  test('bad values, by flag or by variable', () => {
    assert.match(refusal(['start', '--max-send-bytes=many']), /"many" for --max-send-bytes/);
    assert.match(refusal(['start', '--dial-timeout=5']), /--dial-timeout/);
    assert.match(refusal(['start', '--endpoints=a:1:2']), /--endpoints/);
    assert.match(refusal(['start', '--listen-addr=x:99999']), /--listen-addr.*out of range/);
    assert.match(refusal(['start'], { ETCD_PROXY_DEBUG: 'maybe' }), /ETCD_PROXY_DEBUG/);
  });

  for (const flag of ['--user-file', '--cache-prefix-user-file']) userFileTest(flag);

  test("two names of the flag for the proxy's own user name one file, or nothing starts", () => {
    const folder = mkdtempSync(join(tmpdir(), 'user-file-'));
    const [one, other] = ['one', 'other'].map((name) => {
      const path = join(folder, name);
      writeFileSync(path, `${name}:hidden`);
      return path;
    }) as [string, string];
    try {
      const both = (second: string) => ['start', `--user-file=${one}`, `--cache-prefix-user-file=${second}`];
      assert.match(refusal(both(other)), /--user-file and --cache-prefix-user-file.*different things$/);
      const config = configOf(both(one).slice(1));
      assert.deepEqual(userFileOf(config), { flag: '--user-file', path: one });
      assert.equal(userFileOf(configOf([])), undefined);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** A certificate for clients to see; files are not read here. */
const PAIR = ['--cert-file=c', '--key-file=k'];

describe('TLS', () => {
  const secure = (...args: string[]) => endpoints(configOf(args)).map((endpoint) => endpoint.secure);

  test('an endpoint without a scheme speaks TLS when a flag asks for it', () => {
    assert.deepEqual(secure('--endpoints=a:1,http://b:1,https://c:1,unix:///d,unixs:///e'), [
      false,
      false,
      true,
      false,
      true,
    ]);
    assert.deepEqual(secure('--endpoints=a:1,http://b:1', '--cacert=ca'), [true, false]);
    assert.deepEqual(secure('--endpoints=a:1', '--cert=c', '--key=k'), [true]);
    assert.deepEqual(secure('--endpoints=a:1', '--insecure-skip-tls-verify'), [true]);
    assert.deepEqual(secure('--endpoints=a:1', '--insecure-transport=false'), [true]);
    assert.deepEqual(secure('--endpoints=a:1', '--insecure-transport'), [false]);
  });

  test('the name that an endpoint must prove', () => {
    const names = endpoints(
      configOf(['--endpoints=a:1,https://[::1]:2,unixs:///run/etcd.example:0,unixs:///run/b']),
    ).map(({ serverName }) => serverName);
    assert.deepEqual(names, ['a', '::1', 'etcd.example', 'b']);
  });

  test('to clients', () => {
    assert.equal(serverTls(configOf([])), undefined);
    const suites = '--listen-cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_AES_128_GCM_SHA256';
    assert.partialDeepStrictEqual(serverTls(configOf([...PAIR, suites, '--tls-max-version=TLS1.2'])), {
      pair: { cert: { flag: '--cert-file', path: 'c' }, key: { flag: '--key-file', path: 'k' } },
      cipherSuites: ['ECDHE-RSA-AES128-GCM-SHA256', 'TLS_AES_128_GCM_SHA256'],
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.2',
    });
    const automatic = serverTls(configOf(['--auto-tls', '--listen-addr=etcd.example:1', '--data-dir=/d']));
    assert.deepEqual(automatic?.pair, { folder: '/d/fixtures/proxy', years: 1, hosts: ['etcd.example'] });
  });

  for (const [args, message] of [
    [['--cert-file=c'], /--cert-file needs --key-file/],
    [['--key-file=k'], /--key-file needs --cert-file/],
    [['--cert=c'], /--cert needs --key/],
    [['--key=k'], /--key needs --cert/],
    [['--trusted-ca-file=ca'], /--trusted-ca-file needs TLS to clients/],
    [['--tls-min-version=TLS1.3', '--tls-max-version=TLS1.2'], /min-version is higher than/],
    [['--tls-min-version=TLS1.1'], /--tls-min-version: want TLS1.2 or TLS1.3/],
    [['--tls-min-version=TLS1.1', ...PAIR], /--tls-min-version: want TLS1.2 or TLS1.3/],
    [['--tls-min-version=TLS1.3', '--tls-max-version=TLS1.2', ...PAIR], /min-version is higher than/],
    [['--listen-cipher-suites=TLS_FAST', ...PAIR], /unexpected TLS cipher suite "TLS_FAST"/],
    [
      ['--listen-cipher-suites=TLS_RSA_WITH_AES_128_CBC_SHA', '--tls-min-version=TLS1.3', ...PAIR],
      /--listen-cipher-suites has no effect on TLS 1.3/,
    ],
    [['--auto-tls', '--self-signed-cert-validity=0'], /--self-signed-cert-validity must be/],
    [['--listen-addr=https://a:1'], /--listen-addr=https:\/\/a:1 needs --cert-file/],
    [['--listen-addr=http://a:1', '--auto-tls'], /--listen-addr=http:\/\/a:1 says plaintext/],
    [['--metrics-addr=https://a:1'], /--metrics-addr=https:\/\/a:1 needs --cert-file/],
    [['--insecure-transport=false', '--endpoints=http://a:1'], /--endpoints=http:\/\/a:1 says plaintext/],
  ] as const) {
    test(`${args.join(' ')} is refused`, () => {
      assert.match(refusal(['start', ...args]), message);
    });
  }
});

describe('flags that change nothing beside the others are said to, as etcd takes them', () => {
  const SUITE = '--listen-cipher-suites=TLS_RSA_WITH_AES_128_CBC_SHA';
  for (const [args, flags] of [
    [[], []],
    [['--client-crl-file=/absent'], ['client-crl-file']],
    [[SUITE, '--tls-min-version=TLS1.2'], ['listen-cipher-suites']],
    [['--tls-min-version=TLS1.3'], ['tls-min-version']],
    [['--tls-max-version=TLS1.2'], ['tls-max-version']],
    [['--listen-cipher-suites=TLS_UNKNOWN'], ['listen-cipher-suites']],
    [
      ['--client-crl-file=crl', SUITE, '--tls-min-version=TLS1.3', '--tls-max-version=TLS1.3'],
      ['client-crl-file', 'listen-cipher-suites', 'tls-min-version', 'tls-max-version'],
    ],
    [[...PAIR, '--client-crl-file=/absent'], ['client-crl-file']],
    [['--auto-tls', '--client-crl-file=crl'], ['client-crl-file']],
    [[...PAIR, '--client-crl-file=crl', '--trusted-ca-file=ca'], []],
    [[...PAIR, SUITE, '--tls-max-version=TLS1.2'], []],
  ] as const) {
    test(args.join(' ') || 'no flags', () => {
      const config = configOf(args);
      assert.deepEqual(
        ineffectiveTls(config).map(({ flag }) => flag),
        flags,
      );
      if (flags.length > 0) assert.equal(serverTls(config)?.crl, undefined);
    });
  }
});

describe('numbers that make no sense', () => {
  const numbers = FLAGS.filter(({ type }) => ['integer', 'bytes', 'duration'].includes(type));
  /** Flags for which zero is a value of its own, as their help says or their meaning. */
  const ZERO = [
    ...[
      'dial-keepalive-time',
      'endpoints-auto-sync-interval',
      'watch-linger',
      'watch-reauthorize',
      'max-read-flights',
      'cache-bytes',
    ],
    ...[
      'cache-max-feeds',
      'cache-wait',
      'max-waiting-calls',
      'max-resets-per-second',
      'max-control-frames-per-second',
      'client-write-timeout',
      'grpc-keepalive-min-time',
      'watch-history-bytes',
    ],
    ...['self-signed-cert-validity', 'resolver-ttl', 'endpoints-shuffle-interval'],
    ...['proxy-failure-wait', 'proxy-dial-timeout', 'proxy-write-timeout', 'proxy-read-timeout'],
  ];
  /** Those for which it stands for the default. */
  const ZERO_IS_DEFAULT = ['dial-keepalive-timeout', 'grpc-keepalive-interval', 'grpc-keepalive-timeout'];

  /** What the incumbent makes of one below zero, it says itself. */
  const SIGNED = ['resolver-ttl'];

  test('every flag that is a number has limits, and nothing else has', () => {
    assert.deepEqual(
      FLAGS.filter(({ limits }) => limits !== undefined),
      numbers,
    );
  });

  for (const flag of numbers) {
    const { name, type } = flag;
    const value = (text: string): unknown => configOf([`--${name}=${text}`])[name];
    const refused = (text: string): void => {
      const named = new RegExp(`^invalid value ".*" for --${name}: want `);
      assert.match(refusal(['start', `--${name}=${text}`]), named, text);
    };

    test(`--${name}`, () => {
      if (!SIGNED.includes(name)) refused('-1');
      for (const text of ['', '-', '-0', '- 1', 'NaN', 'Infinity', '1e3', 'many', '1 ', '0x']) refused(text);
      if (type === 'duration')
        for (const text of ['-1s', '1ns', '999us', '9999999h', '1', '1d']) refused(text);
      else for (const text of ['1.5', '1s', '9007199254740992', '9'.repeat(400)]) refused(text);
      if (ZERO.includes(name)) assert.equal(value('0'), 0);
      else if (ZERO_IS_DEFAULT.includes(name)) assert.equal(value('0'), value(flag.default));
      else refused('0');
      assert.doesNotThrow(() => value(flag.default));
    });
  }

  test('what would serve nobody', () => {
    for (const args of [
      ['--max-concurrent-streams=0'],
      ['--max-concurrent-streams=4294967296'],
      ['--max-queued-bytes=1000000'],
      ['--max-recv-bytes=63'],
      ['--max-send-bytes=63'],
      ['--max-queued-bytes=3000000', '--max-recv-bytes=3000001'],
      ['--self-signed-cert-validity=1001'],
    ])
      assert.match(refusal(['start', ...args]), /at least|at most/, args.join(' '));
    assert.doesNotThrow(() => configOf(['--max-queued-bytes=3000000', '--max-recv-bytes=3000000']));
    assert.doesNotThrow(() => configOf(['--max-queued-bytes=3000000']));
    assert.doesNotThrow(() => configOf(['--max-concurrent-streams=4294967295']));
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

function userFileTest(flag: string): void {
  test(`${flag}: a file for the proxy's own user, with nothing of what is in it`, () => {
    const folder = mkdtempSync(join(tmpdir(), 'user-file-'));
    const file = (text: string): string => {
      const path = join(folder, 'user');
      writeFileSync(path, text);
      return `${flag}=${path}`;
    };
    try {
      const absent = join(folder, 'absent');
      assert.match(refusal(['start', `${flag}=${absent}`]), /: no such file$/);
      assert.match(refusal(['start', `${flag}=${folder}`]), /cannot be read \(EISDIR\)$/);
      for (const text of ['', 'hidden', ':hidden', '\nuser:hidden']) {
        const message = refusal(['start', file(text)]);
        assert.match(message, /want name:password in the first line$/);
        assert.ok(message.includes(flag));
        assert.ok(!message.includes('hidden'));
      }
      for (const [text, name, password] of [
        ['user:pass', 'user', 'pass'],
        ['user:pa:ss \r\nmore', 'user', 'pa:ss '],
        ['user:\n', 'user', ''],
      ] as const) {
        const named = userFileOf(configOf([file(text)]));
        assert.deepEqual(named && readUserFile(named), { name, password });
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}
