/** Requests for keys over plain HTTP: which bytes of a path are the key, under which conditions they count, and which are refused. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { startProxy } from '../support/proxy.ts';
import { type Answer, ask, everyByte } from './kv/ask.ts';
import { b64, error, type JsonKey, keysPlace, revision, tag } from './kv/keys-place.ts';
import { REFUSALS } from './kv/refusals.ts';

const { to, get, put, remove, etcds, stored, url, endpoints } = keysPlace();

describe('keys are bytes', () => {
  const names: readonly (readonly [path: string, key: Uint8Array | string])[] = [
    ['a/b', 'a/b'],
    ['a%2Fb', 'a/b'],
    ['/registry/pods', '/registry/pods'],
    ['%2Fregistry%2fpods', '/registry/pods'],
    ['a/../b', 'a/../b'],
    ['../../etc/passwd', '../../etc/passwd'],
    ['.', '.'],
    ['a/./b/', 'a/./b/'],
    ['a//b', 'a//b'],
    ['%25', '%'],
    ['%00', '\0'],
    ['a+b', 'a+b'],
    ['a%20b', 'a b'],
    ['a;b=c,d', 'a;b=c,d'],
    ['a%3Fb', 'a?b'],
    ['a%23b', 'a#b'],
    ['%C3%A4', 'ä'],
    ['%ff%fe', Buffer.of(0xff, 0xfe)],
    ['__proto__', '__proto__'],
    ['x'.repeat(60_000), 'x'.repeat(60_000)],
  ];
  for (const [path, key] of names)
    test(`/kv/${path.slice(0, 40)}`, async () => {
      const value = `value of ${path.slice(0, 40)}`;
      assert.equal((await put(`/kv/${path}`, value)).status, 204);
      assert.equal((await stored(key))?.value, b64(value));
      assert.equal((await get(`/kv/${everyByte(Buffer.from(key))}`)).text, value);
      assert.equal((await remove(`/kv/${path}`)).status, 200);
      assert.equal(await stored(key), undefined);
    });

  test('any bytes at all, in a path, in a list and behind a page', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.uint8Array({ minLength: 1, maxLength: 12 }), {
          minLength: 3,
          maxLength: 3,
          selector: b64,
        }),
        async (keys) => {
          const prefix = Buffer.from('any/');
          const full = keys.map((key) => Buffer.concat([prefix, key])).sort(Buffer.compare);
          for (const key of full) assert.equal((await put(`/kv/${everyByte(key)}`, key)).status, 204);
          const found: string[] = [];
          for (let path = '/kv/any/?prefix&limit=1'; ; ) {
            const { text, headers } = await get(path);
            for (const { key, key_base64, value, value_base64 } of JSON.parse(text) as JsonKey[]) {
              assert.equal(key_base64 ?? b64(key ?? ''), value_base64 ?? b64(value ?? ''));
              found.push(key_base64 ?? b64(key ?? ''));
            }
            const next = /^<([^>]+)>; rel="next"$/.exec(String(headers.link ?? ''))?.[1];
            if (next === undefined) break;
            assert.equal(new URL(next, url()).href, `${url()}${next}`, 'no library makes another path of it');
            path = next;
          }
          assert.deepEqual(found, full.map(b64));
          assert.equal((await remove('/kv/any/?prefix')).text, '{"deleted":"3"}\n');
        },
      ),
      { numRuns: 60 },
    );
  });

  test('the whole address as a target', async () => {
    await put('/kv/absolute', 'x');
    assert.equal((await get(`${url()}/kv/absolute`)).text, 'x');
    assert.equal((await get(`${url()}/kv/absolute?prefix&keys`)).status, 200);
  });
});

describe('conditions', () => {
  /** `%` stands for the revision of the key; `-` for a key that is not there. */
  const cases: readonly (readonly [
    match: string | undefined,
    none: string | undefined,
    there: number,
    gone: number,
  ])[] = [
    ['"%"', undefined, 204, 412],
    ['"%+json"', undefined, 204, 412],
    ['"1", "%"', undefined, 204, 412],
    ['"%" , "1" ,, "x"', undefined, 204, 412],
    ['"1"', undefined, 412, 412],
    ['"1", "3"', undefined, 412, 412],
    ['"0"', undefined, 412, 412],
    ['"0%"', undefined, 412, 412],
    ['"9223372036854775807"', undefined, 412, 412],
    ['"9223372036854775808"', undefined, 412, 412],
    ['"of-somebody"', undefined, 412, 412],
    ['W/"%"', undefined, 412, 412],
    ['W/"%", "%"', undefined, 204, 412],
    ['*', undefined, 204, 412],
    [' * ', undefined, 204, 412],
    [undefined, '*', 412, 201],
    [undefined, '"%"', 412, 204],
    [undefined, 'W/"%"', 412, 204],
    [undefined, '"1", "%"', 412, 204],
    [undefined, '"1"', 204, 204],
    ['"%"', '"1"', 204, 412],
    ['"%"', '*', 412, 412],
    ['*', '"%"', 412, 412],
    ['%', undefined, 400, 400],
    ['"%', undefined, 400, 400],
    ['w/"%"', undefined, 400, 400],
    ['*, "1"', undefined, 400, 400],
    ['"a b"', undefined, 400, 400],
    ['"1" "2"', undefined, 400, 400],
    ['', undefined, 400, 400],
    [',', undefined, 400, 400],
    [Array.from({ length: 65 }, () => '"%"').join(), undefined, 400, 400],
    [Array.from({ length: 64 }, (_, i) => `"${i}0%"`).join(), undefined, 412, 412],
  ];
  for (const [match, none, there, gone] of cases)
    test(`If-Match: ${match?.slice(0, 40)}, If-None-Match: ${none}`, async () => {
      const headers = (at: number): Record<string, string> => ({
        ...(match === undefined ? {} : { 'if-match': match.replaceAll('%', String(at)) }),
        ...(none === undefined ? {} : { 'if-none-match': none.replaceAll('%', String(at)) }),
      });
      const at = revision(await put('/kv/if', 'before'));
      const answer = await put('/kv/if', 'after', headers(at));
      assert.equal(answer.status, there, answer.text);
      assert.equal((await get('/kv/if')).text, there === 204 ? 'after' : 'before');
      if (there === 412) {
        assert.equal(tag(answer), `"${at}"`);
        assert.equal(error(answer).code, 9);
      }
      const again = revision(await put('/kv/if', 'before'));
      assert.equal((await remove('/kv/if', headers(again))).status, there === 204 ? 200 : there);
      if (there !== 204) await remove('/kv/if');
      const absent = await put('/kv/if', 'after', headers(again));
      assert.equal(absent.status, gone, absent.text);
      assert.equal((await get('/kv/if')).status, gone < 300 ? 200 : 404);
      await remove('/kv/if');
      const removed = (await remove('/kv/if', headers(again))).status;
      assert.equal(removed, gone < 300 ? 404 : gone);
    });

  test('of reads', async () => {
    const at = revision(await put('/kv/read', 'x'));
    for (const [name, value, status] of [
      ['if-none-match', `"${at}"`, 304],
      ['if-none-match', `W/"${at}"`, 304],
      ['if-none-match', `"1", "${at}"`, 304],
      ['if-none-match', '*', 304],
      ['if-none-match', '"1"', 200],
      ['if-none-match', `"${at}+json"`, 200],
      ['if-match', `"${at}"`, 200],
      ['if-match', '*', 200],
      ['if-match', `W/"${at}"`, 412],
      ['if-match', '"1"', 412],
      ['if-none-match', 'x', 400],
    ] as const) {
      const answer = await get('/kv/read', { [name]: value });
      assert.equal(answer.status, status, `${name}: ${value}`);
      if (status !== 400) assert.equal(tag(answer), `"${at}"`);
      if (status === 304) assert.equal(answer.text, '');
    }
    assert.equal((await get('/kv/none', { 'if-none-match': '*' })).status, 404);
    assert.equal((await get('/kv/none', { 'if-match': '*' })).status, 412);
    const json = { accept: 'application/json', 'if-none-match': `"${at}+json"` };
    assert.equal((await get('/kv/read', json)).status, 304);
  });

  test('of writers who swap at once, exactly one wins each round', async () => {
    let etag = tag(await put('/kv/race', '0'));
    for (let round = 1; round <= 25; round++) {
      const match = round % 2 === 0 ? etag : `"1", ${etag}, "4"`;
      const answers = await Promise.all(
        [1, 2, 3].map((writer) => put('/kv/race', `${round} ${writer}`, { 'if-match': match })),
      );
      assert.deepEqual(answers.map(({ status }) => status).sort(), [204, 412, 412]);
      const winner = answers.findIndex(({ status }) => status === 204);
      etag = tag(answers[winner] as Answer);
      const { text, headers } = await get('/kv/race');
      assert.deepEqual([text, headers.etag], [`${round} ${winner + 1}`, etag]);
    }
    for (let round = 1; round <= 10; round++) {
      await remove('/kv/race');
      const answers = await Promise.all([1, 2, 3].map(() => put('/kv/race', 'x', { 'if-none-match': '*' })));
      assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 412, 412]);
    }
  });
});

describe('what is refused', () => {
  for (const [method, path, status, message, headers = {}] of REFUSALS)
    test(`${method} ${path} ${JSON.stringify(headers)}: ${status}`, async () => {
      await put('/kv/a', 'stays');
      const body = method === 'PUT' || method === 'POST' ? 'other' : undefined;
      const answer = await to({ method, path, headers, ...(body === undefined ? {} : { body }) });
      assert.equal(answer.status, status, answer.text);
      assert.equal(answer.headers['content-type']?.split(';')[0], 'application/json');
      assert.match(error(answer).message, message);
      assert.equal((await get('/kv/a')).text, 'stays');
    });

  test('a page that may not call gets an error as all others are', async () => {
    for (const [path, headers, status] of [
      ['/kv/a', { host: 'evil.example' }, 421],
      ['/kv/a', { origin: 'http://evil.example' }, 403],
      ['/watch/a', { host: 'evil.example' }, 421],
      ['/v3/kv/range', { origin: 'http://evil.example' }, 403],
    ] as const) {
      const answer = await to({ method: 'GET', path, headers });
      const { error: words, code, message } = JSON.parse(answer.text) as Record<string, unknown>;
      assert.deepEqual([answer.status, code, words], [status, 7, message], path);
    }
  });

  test('other methods, and which there are', async () => {
    for (const [path, allow] of [
      ['/kv/a', 'GET, HEAD, PUT, DELETE, OPTIONS'],
      ['/watch/a', 'GET, OPTIONS'],
    ] as const) {
      assert.equal((await to({ method: 'POST', path })).headers.allow, allow);
      const options = await to({ method: 'OPTIONS', path });
      assert.deepEqual([options.status, options.headers.allow], [204, allow]);
    }
  });

  test('a compacted revision', async () => {
    const at = revision(await put('/kv/a', 'stays'));
    const last = revision(await put('/kv/a', 'stays'));
    await etcds('kv/compaction', { revision: String(last) });
    const answer = await get(`/kv/a?revision=${at}`);
    assert.equal(answer.status, 400);
    assert.equal(error(answer).code, 11);
  });

  test('values that are larger than a request may be', async () => {
    await using small = await startProxy({ endpoints: endpoints(), flags: ['--max-send-bytes=100000'] });
    const answer = await ask(small.url, { method: 'PUT', path: '/kv/a?ttl=500', body: 'x'.repeat(100_000) });
    assert.equal(answer.status, 429, answer.text);
    assert.equal(error(answer).code, 8);
    const more = await ask(small.url, { method: 'PUT', path: '/kv/a', body: 'x'.repeat(5_000_000) });
    assert.equal(more.status, 429);
    assert.equal((await get('/kv/a')).text, 'stays');
  });
});
