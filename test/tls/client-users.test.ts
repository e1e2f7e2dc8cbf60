/** The file of `--client-cn-map`, and what of a certificate counts as its common name. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { commonNames } from '../../src/tls/common-names.ts';
import { readUserMap } from '../../src/tls/user-map.ts';
import { tempDir } from '../support/process.ts';
import { Authority, type Subject } from './pki.ts';

const folder = await tempDir('cn-map');
const path = join(folder, 'map.json');
const file = { flag: '--client-cn-map', path };

function mapOf(text: string) {
  writeFileSync(path, text);
  return readUserMap(file).users;
}

describe('the file', () => {
  test('names users, whatever characters are in the names', () => {
    const users = {
      'CN=a:b, "c"\n': { name: 'user:1=2', password: 'p:\\ ü\n' },
      __proto__x: { name: 'x', password: '' },
    };
    assert.deepEqual(Object.fromEntries(mapOf(JSON.stringify(users))), users);
    assert.equal(mapOf('{"__proto__": {"name": "x", "password": "y"}}').get('__proto__')?.name, 'x');
    assert.equal(mapOf('{}').size, 0);
  });

  test('that is something else is refused, with nothing of what is in it', () => {
    for (const text of [
      '',
      'hidden',
      '{"hidden": ',
      '[]',
      'null',
      '{"hidden": "user:hidden"}',
      '{"hidden": {"name": "", "password": "hidden"}}',
      '{"hidden": {"name": "hidden"}}',
      '{"hidden": {"name": "hidden", "password": 1}}',
      '{"": {"name": "hidden", "password": "hidden"}}',
      `"${' '.repeat(5 << 20)}"`,
    ])
      assert.throws(
        () => mapOf(text),
        ({ message }: Error) => {
          assert.ok(message.startsWith(`--client-cn-map: ${path}: `), message);
          return !message.includes('hidden');
        },
      );
    assert.throws(() => readUserMap({ ...file, path: join(folder, 'absent') }), /: no such file$/);
    const looped = join(folder, 'looped');
    symlinkSync(looped, looped);
    assert.throws(
      () => readUserMap({ ...file, path: looped }),
      /^\S*Error: --client-cn-map: .*: cannot be read \(ELOOP\)$/,
    );
  });
});

test('the common names of a certificate, and of nothing that looks like one', async () => {
  const ca = await Authority.create();
  const namesOf = async (subject: Subject) => {
    const { cert } = await ca.issue('x', subject);
    return commonNames(new X509Certificate(readFileSync(cert)));
  };
  assert.deepEqual(await namesOf({ commonName: 'one' }), ['one']);
  assert.deepEqual(await namesOf({ commonName: 'one', furtherNames: ['root'] }), ['one', 'root']);
  assert.deepEqual(await namesOf({}), []);
  assert.deepEqual(await namesOf({ nameless: true, hosts: ['root'] }), []);
  assert.deepEqual(await namesOf({ organization: 'x\nCN=root', commonName: 'one' }), ['one']);
  assert.deepEqual(await namesOf({ organization: 'x, CN=root/CN=root+CN=root' }), []);
  for (const odd of ['a\nCN=root', 'a+CN=root', 'root\0.example', ' root', 'röt', '"root"'])
    assert.deepEqual(await namesOf({ commonName: odd }), [odd]);
});
