/** The parts that read files: revocation lists, cipher suites, and the watch that notices every kind of change. */
import assert from 'node:assert/strict';
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSecureContext } from 'node:tls';
import { opensslSuite } from '../../src/tls/cipher-suites.ts';
import { FileWatch, type FileWatchSettings } from '../../src/tls/file-watch.ts';
import { TlsFileError } from '../../src/tls/files.ts';
import { describeTlsError, handshakeFailureOf } from '../../src/tls/handshake-failure.ts';
import { Reloading } from '../../src/tls/reloading.ts';
import { parseRevocationList } from '../../src/tls/revocation-list.ts';
import { tempDir } from '../support/process.ts';
import { until } from '../support/until.ts';
import { Authority } from './pki.ts';

const CRL = { flag: '--client-crl-file', path: '/crl' };

describe('revocation lists', () => {
  test('in PEM, one or several, in DER, empty, and out of date', async () => {
    const [one, two] = await Promise.all([Authority.create('one'), Authority.create('two')]);
    const first = await one.revocationList(
      ['0a0b', '80ff'].map((serial) => `00${serial}`),
      -1,
    );
    const second = await two.revocationList(['01']);
    const read = (text: string) => parseRevocationList(CRL, Buffer.from(text));
    const both = await read(`comment\n${first}${second}`);
    assert.equal(both.size, 3);
    assert.deepEqual(
      ['A0B', '0A0B', '80FF', '01', '1', '02'].map((serial) => both.has(serial)),
      [true, true, true, true, true, false],
    );
    const der = Buffer.from(first.replace(/-----.*-----/g, ''), 'base64');
    assert.equal((await parseRevocationList(CRL, der)).size, 2);
    assert.equal((await read(await one.revocationList([]))).size, 0);
  });

  test('what is none is named', async () => {
    const { cert } = await Authority.create();
    for (const text of ['', 'nothing', '-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n', cert]) {
      await assert.rejects(parseRevocationList(CRL, Buffer.from(text)), (error: Error) => {
        assert.ok(error instanceof TlsFileError);
        return error.message.startsWith('--client-crl-file: /crl: ');
      });
    }
  });
});

describe('cipher suites', () => {
  test("Go's names become OpenSSL's, which OpenSSL knows", () => {
    assert.equal(opensslSuite('TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305'), 'ECDHE-RSA-CHACHA20-POLY1305');
    assert.equal(opensslSuite('TLS_AES_128_GCM_SHA256'), 'TLS_AES_128_GCM_SHA256');
    for (const name of [
      'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
      'TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256',
      'TLS_RSA_WITH_AES_256_CBC_SHA',
    ]) {
      assert.doesNotThrow(() => createSecureContext({ ciphers: opensslSuite(name) }));
    }
  });

  test('unknown ones are refused by name', () => {
    for (const name of ['TLS_FAST', 'ECDHE-RSA-AES128-GCM-SHA256', 'constructor', ''])
      assert.throws(() => opensslSuite(name), new RegExp(`unexpected TLS cipher suite "${name}"`));
    assert.throws(() => opensslSuite('TLS_RSA_WITH_3DES_EDE_CBC_SHA'), /not available/);
  });
});

describe('what is said of a failure', () => {
  test('one reason of a few, and a line without addresses', () => {
    const error = Object.assign(new Error('40D3:error:0A000410:SSL routines:f:handshake failure:../a.c:9:'), {
      code: 'EPROTO',
    });
    assert.equal(describeTlsError(error), 'TLS: handshake failure');
    const reasonOf = (code: string) => handshakeFailureOf(Object.assign(new Error('x'), { code })).reason;
    assert.equal(reasonOf('ERR_SSL_NO_SHARED_CIPHER'), 'cipher_suite');
    assert.equal(reasonOf('ERR_SSL_UNSUPPORTED_PROTOCOL'), 'version');
    assert.equal(reasonOf('ERR_SSL_NO_APPLICATION_PROTOCOL'), 'alpn');
    assert.equal(reasonOf('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA'), 'refused_by_peer');
    assert.equal(reasonOf('ERR_SSL_UNEXPECTED_MESSAGE'), 'malformed');
    assert.equal(handshakeFailureOf('DEPTH_ZERO_SELF_SIGNED_CERT').reason, 'unknown_authority');
  });
});

describe('the watch over files', () => {
  const events: Partial<FileWatchSettings> = { pollMs: 2 ** 30, settleMs: 5 };
  const polling: Partial<FileWatchSettings> = { pollMs: 10, events: false };

  for (const [name, settings] of [
    ['by events', events],
    ['by looking now and then', polling],
  ] as const) {
    test(`${name}: writes, renames, links that turn, and files that come late`, async () => {
      const folder = await tempDir('watch');
      const at = (file: string) => join(folder, file);
      await writeFile(at('plain'), '1');
      await mkdir(at('..1'));
      await writeFile(at('..1/linked'), '1');
      await symlink('..1', at('..data'));
      await symlink('..data/linked', at('linked'));
      let changes = 0;
      const watch = new FileWatch(['plain', 'linked', 'late'].map(at), () => changes++, settings);
      const seen = async (action: () => Promise<unknown>): Promise<void> => {
        const before = changes;
        await action();
        await until('a change is seen', () => changes > before);
      };
      await seen(() => writeFile(at('plain'), '22'));
      await seen(async () => {
        await writeFile(at('other'), '33');
        await rename(at('other'), at('plain'));
      });
      await seen(async () => {
        await mkdir(at('..2'));
        await writeFile(at('..2/linked'), '1');
        await symlink('..2', at('..tmp'));
        await rename(at('..tmp'), at('..data'));
      });
      await seen(() => writeFile(at('late'), ''));
      watch.close();
    });
  }

  test('a folder that is not there is no error', async () => {
    const folder = await tempDir('watch');
    let changes = 0;
    const path = join(folder, 'missing', 'file');
    const watch = new FileWatch([path], () => changes++, { pollMs: 10 });
    await mkdir(join(folder, 'missing'));
    await writeFile(path, '');
    await until('the file is seen', () => changes === 1);
    watch.close();
  });

  test('a file that cannot be looked at is no error either', async () => {
    const folder = await tempDir('watch');
    let changes = 0;
    const path = join(folder, 'file');
    // A link to itself; what nobody may look into is to root as any other.
    await symlink(path, path);
    const watch = new FileWatch([path], () => changes++, { pollMs: 10 });
    watch.markSeen();
    await rename(path, join(folder, 'other'));
    await writeFile(path, '');
    await until('the file is seen', () => changes > 0);
    watch.close();
  });
});

test('what could not be made of the files is tried again though they stay as they are, and told of once', async () => {
  const path = join(await tempDir('watch'), 'file');
  await writeFile(path, '');
  const told: string[] = [];
  // As where the process has no descriptor left.
  let problem: string | undefined;
  let tries = 0;
  const load = async () => {
    tries++;
    if (problem !== undefined) throw new TlsFileError({ flag: '--cert-file', path }, problem);
    return { expires: undefined };
  };
  const observer = {
    onLoaded: () => {},
    onReloaded: () => told.push('ok'),
    onReloadFailed: (_side: unknown, failure: string) => told.push(failure.replace(/^.*: /, '')),
  };
  const made = new Reloading('server', { paths: async () => [path], load }, observer, {
    pollMs: 10,
    events: false,
  });
  await made.start();
  problem = 'cannot be read (EMFILE)';
  await writeFile(path, 'new');
  await until('it is tried several times', () => tries > 3);
  assert.deepEqual(told, [problem]);
  await made.reload();
  assert.deepEqual(told, [problem, problem], 'who asks for it is told');
  problem = undefined;
  await until('it is made', () => told.length === 3);
  const last = tries;
  await sleep(50); // nothing may happen
  assert.deepEqual([told.at(-1), tries], ['ok', last], 'what is made is not made again');
  made.close();
});
