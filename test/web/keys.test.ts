/** Keys as resources of plain HTTP, beside a real etcd: what each request gets, and what is in the store then. */
import assert from 'node:assert/strict';
import { connect as connectHttp2 } from 'node:http2';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { send } from './gateway/sides.ts';
import { type Answer, type Asked, ask, everyByte } from './kv/ask.ts';

const b64 = (bytes: Uint8Array | string): string => Buffer.from(bytes).toString('base64');

interface JsonKey {
  readonly key?: string;
  readonly key_base64?: string;
  readonly value?: string;
  readonly value_base64?: string;
  readonly mod_revision: string;
  readonly lease?: string;
}

let etcd: EtcdCluster;
let proxy: RunningProxy;
before(async () => {
  etcd = await startEtcd();
  proxy = await startProxy({ endpoints: etcd.endpoints });
});
after(async () => {
  assert.deepEqual(
    proxy?.stderr.filter((line) => line.includes('"level":"error"')),
    [],
  );
  await proxy?.stop();
  await etcd?.stop();
});

const to = (asked: Asked): Promise<Answer> => ask(proxy.url, asked);
const get = (path: string, headers: Record<string, string> = {}): Promise<Answer> => to({ path, headers });
const put = (
  path: string,
  body: string | Uint8Array = 'v',
  headers: Record<string, string> = {},
): Promise<Answer> => to({ method: 'PUT', path, body, headers });
const remove = (path: string, headers: Record<string, string> = {}): Promise<Answer> =>
  to({ method: 'DELETE', path, headers });
/** etcd's own answer, past the proxy. */
const etcds = async (path: string, body: object): Promise<Record<string, unknown>> => {
  const { status, text } = await send(etcd.first.url, { path, body: JSON.stringify(body) });
  assert.equal(status, 200, text);
  return JSON.parse(text) as Record<string, unknown>;
};
const stored = async (key: Uint8Array | string): Promise<{ value?: string; lease?: string } | undefined> =>
  ((await etcds('kv/range', { key: b64(key) })).kvs as { value?: string; lease?: string }[] | undefined)?.[0];
const tag = ({ headers }: Answer): string => headers.etag ?? '';
const revision = ({ headers }: Answer): number => Number(headers['x-etcd-revision']);
const leases = async (): Promise<string[]> =>
  (((await etcds('lease/leases', {})).leases ?? []) as { ID: string }[]).map(({ ID }) => ID);
const error = ({ text }: Answer) => JSON.parse(text) as { error: string; code: number; message: string };

describe('a key', () => {
  test('put with a body of any type', async () => {
    for (const type of ['text/html', 'application/grpc', 'nonsense', `a/${'x'.repeat(200)}`])
      assert.equal((await put('/kv/type', type, { 'content-type': type })).status, 204, type);
  });

  test('put, got, changed, deleted', async () => {
    const first = await put('/kv/life', 'one');
    assert.equal(first.status, 204);
    assert.equal(tag(first), `"${revision(first)}"`);
    const got = await get('/kv/life');
    assert.deepEqual([got.status, got.text, tag(got)], [200, 'one', tag(first)]);
    assert.equal(got.headers['content-type'], 'application/octet-stream');
    assert.equal(got.headers['content-length'], '3');
    assert.equal(got.headers['x-etcd-version'], '1');
    const second = await put('/kv/life', 'two');
    const changed = await get('/kv/life');
    assert.deepEqual(
      [
        changed.text,
        tag(changed),
        changed.headers['x-etcd-create-revision'],
        changed.headers['x-etcd-version'],
      ],
      ['two', tag(second), String(revision(first)), '2'],
    );
    const gone = await remove('/kv/life');
    assert.deepEqual([gone.status, gone.text], [200, '{"deleted":"1"}\n']);
    for (const answer of [await get('/kv/life'), await remove('/kv/life')]) {
      assert.equal(answer.status, 404);
      assert.deepEqual(error(answer), {
        error: 'there is no such key',
        code: 5,
        message: 'there is no such key',
      });
      assert.ok(revision(answer) >= revision(gone));
    }
    assert.equal((await get(`/kv/life?revision=${revision(first)}`)).text, 'one');
    assert.equal((await get(`/kv/life?revision=${revision(first)}&serializable`)).text, 'one');
  });

  test('HEAD has what GET has but the body', async () => {
    await put('/kv/head', 'body');
    for (const path of ['/kv/head', '/kv/nothing', '/kv/head?prefix', '/kv/head?keys']) {
      const got = await get(path);
      const head = await to({ method: 'HEAD', path });
      assert.deepEqual([head.status, head.text, tag(head)], [got.status, '', tag(got)]);
      assert.equal(head.headers['content-type'], got.headers['content-type']);
    }
    assert.equal((await to({ method: 'HEAD', path: '/kv/head' })).headers['content-length'], '4');
  });

  test('an empty value, and a value of every byte', async () => {
    await put('/kv/empty', '');
    const empty = await get('/kv/empty');
    assert.deepEqual([empty.status, empty.text, empty.headers['content-length']], [200, '', '0']);
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    await put('/kv/bytes', bytes, { 'content-type': 'not/really; %%' });
    assert.deepEqual((await get('/kv/bytes')).bytes, Buffer.from(bytes));
    const [json] = [JSON.parse((await get('/kv/bytes', { accept: 'application/json' })).text) as JsonKey];
    assert.equal(json.value_base64, b64(bytes));
    assert.equal(json.value, undefined);
  });

  test('a value of a megabyte, also as JSON, text and not', async () => {
    const text = 'ä€😀\n"\\'.repeat(80_000);
    await put('/kv/large', text);
    assert.equal((await get('/kv/large')).text, text);
    const json = await get('/kv/large', { accept: 'application/json' });
    assert.equal((JSON.parse(json.text) as JsonKey).value, text);
    const [listed] = JSON.parse((await get('/kv/large?prefix')).text) as JsonKey[];
    assert.equal(listed?.value, text);
    const odd = Buffer.concat([Buffer.from(text), Buffer.of(0xff)]);
    await put('/kv/large', odd);
    const again = await get('/kv/large', { accept: 'application/json' });
    assert.equal((JSON.parse(again.text) as JsonKey).value_base64, b64(odd));
    await remove('/kv/large');
  });

  test('JSON, by Accept', async () => {
    const { headers } = await put('/kv/json', 'text');
    const at = headers['x-etcd-revision'];
    for (const [accept, json] of [
      ['application/json', true],
      ['application/json, */*', true],
      ['text/html, APPLICATION/JSON;q=0.1', true],
      ['application/json;q=0', false],
      ['application/octet-stream, application/json;q=0.9', false],
      ['application/octet-stream;q=0.1, application/json;charset=utf-8', true],
      ['*/*', false],
      ['text/html,*/*;q=0.8', false],
      ['application/jsonp', false],
      [',;,q=', false],
    ] as const) {
      const got = await get('/kv/json', { accept });
      assert.equal(
        got.headers['content-type'],
        json ? 'application/json' : 'application/octet-stream',
        accept,
      );
      assert.equal(tag(got), json ? `"${at}+json"` : `"${at}"`);
      if (json)
        assert.equal(
          got.text,
          `{"key":"json","value":"text","create_revision":"${at}","mod_revision":"${at}","version":"1"}\n`,
        );
    }
    const { text } = await get('/kv/json?keys');
    assert.equal(text, `{"key":"json","create_revision":"${at}","mod_revision":"${at}","version":"1"}\n`);
  });

  test('nothing of a value runs in a browser, is guessed, or kept for somebody else', async () => {
    await put('/kv/page', '<script>alert(1)</script>');
    for (const path of ['/kv/page', '/kv/page?prefix', '/kv/nothing', '/kv/%zz', '/watch/']) {
      const { headers } = await get(path);
      assert.match(headers['content-type'] ?? '', /^application\/(json|octet-stream)$/);
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.equal(headers['content-security-policy'], "default-src 'none'; sandbox");
      assert.equal(headers['cross-origin-resource-policy'], 'same-origin');
      assert.match(headers['cache-control'] ?? '', /private, no-cache/);
      assert.match(headers.vary ?? '', /Authorization/);
    }
  });

  test('over HTTP/2', async () => {
    const session = connectHttp2(proxy.url);
    session.on('error', () => {});
    const over2 = (fields: Record<string, string>, body = ''): Promise<[unknown, string]> =>
      new Promise((resolve, reject) => {
        const stream = session.request(fields, { endStream: body === '' });
        let text = '';
        let status: unknown;
        stream.on('response', (headers) => {
          status = headers[':status'];
        });
        stream.on('data', (part: Buffer) => {
          text += part.toString();
        });
        stream.on('end', () => resolve([status, text]));
        stream.on('error', reject);
        if (body !== '') stream.end(body);
      });
    assert.deepEqual(await over2({ ':method': 'PUT', ':path': '/kv/h2/%FF' }, 'two'), [204, '']);
    assert.deepEqual(await over2({ ':method': 'GET', ':path': '/kv/h2%2f%ff' }), [200, 'two']);
    assert.deepEqual(await over2({ ':method': 'DELETE', ':path': '/kv/h2/%ff' }), [200, '{"deleted":"1"}\n']);
    session.destroy();
  });
});

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
            assert.equal(
              new URL(next, proxy.url).href,
              `${proxy.url}${next}`,
              'no library makes another path of it',
            );
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
    assert.equal((await get(`${proxy.url}/kv/absolute`)).text, 'x');
    assert.equal((await get(`${proxy.url}/kv/absolute?prefix&keys`)).status, 200);
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

describe('leases of puts', () => {
  test('one that there is, in decimal and as etcdctl writes it', async () => {
    await etcds('lease/grant', { ID: 1000, TTL: 600 });
    for (const id of ['1000', '0x3e8', '0X3E8']) {
      assert.equal((await put(`/kv/lease?lease=${id}`)).status, 204);
      assert.equal((await get('/kv/lease')).headers['x-etcd-lease'], '1000');
      assert.equal((await stored('lease'))?.lease, '1000');
      assert.equal((JSON.parse((await get('/kv/lease?prefix')).text) as JsonKey[])[0]?.lease, '1000');
    }
    const unknown = await put('/kv/lease?lease=1001');
    assert.equal(unknown.status, 404);
    assert.match(error(unknown).message, /lease not found/);
    await etcds('lease/revoke', { ID: 1000 });
    assert.equal((await get('/kv/lease')).status, 404);
  });

  test('one that is granted, and revoked when nothing was put', async () => {
    const none = await leases();
    const granted = await put('/kv/ttl?ttl=600');
    assert.equal(granted.status, 204);
    const lease = String(granted.headers['x-etcd-lease']);
    assert.equal(granted.headers['x-etcd-ttl'], '600');
    assert.equal((await stored('ttl'))?.lease, lease);
    assert.deepEqual(await leases(), [...none, lease]);
    for (const headers of [{ 'if-none-match': '*' }, { 'if-match': '"1"' }, { 'if-match': '"1", W/"2"' }]) {
      const refused = await put('/kv/ttl?ttl=600', 'w', headers);
      assert.deepEqual([refused.status, refused.headers['x-etcd-lease']], [412, undefined]);
      assert.deepEqual(await leases(), [...none, lease]);
    }
    // etcd refuses a value of more than 1.5 MiB.
    const large = await put('/kv/ttl?ttl=600', 'x'.repeat(1_600_000));
    assert.equal(large.status, 400, large.text);
    assert.match(error(large).message, /request is too large/);
    assert.deepEqual(await leases(), [...none, lease]);
    assert.equal((await get('/kv/ttl')).text, 'v');
    assert.equal((await put('/kv/ttl?ttl=9223372036854775807')).status, 400);
    await etcds('lease/revoke', { ID: lease });
  });
});

describe('prefixes', () => {
  before(async () => {
    for (const [i, name] of ['a', 'b', 'c', 'd', 'e'].entries()) await put(`/kv/list/${name}`, `value ${i}`);
    await put('/kv/list0', 'behind');
  });

  test('a list, whole and without values', async () => {
    const { text, headers } = await get('/kv/list/?prefix');
    const keys = JSON.parse(text) as JsonKey[];
    assert.deepEqual(
      keys.map(({ key, value }) => [key, value]),
      ['a', 'b', 'c', 'd', 'e'].map((name, i) => [`list/${name}`, `value ${i}`]),
    );
    assert.equal(text.split('\n').length, 8, 'a line for each key');
    assert.deepEqual(
      [headers['x-etcd-count'], headers['x-etcd-more'], headers.link],
      ['5', undefined, undefined],
    );
    assert.equal(headers.etag, undefined);
    const bare = JSON.parse((await get('/kv/list/?prefix&keys')).text) as JsonKey[];
    assert.deepEqual(
      bare.map(({ key, value }) => [key, value]),
      ['a', 'b', 'c', 'd', 'e'].map((name) => [`list/${name}`, undefined]),
    );
    assert.equal((await get('/kv/not/there?prefix')).text, '[]\n');
    const all = JSON.parse((await get('/kv/?prefix&keys')).text) as JsonKey[];
    assert.ok(all.length >= 6 && all.some(({ key }) => key === 'list0'));
    assert.deepEqual((await get('/kv?prefix&keys')).text, (await get('/kv/?prefix&keys')).text);
  });

  test('prefixes that end in 0xff', async () => {
    for (const key of ['%fe%ff', '%fe%ff%ff', '%ff', '%ff%ff']) await put(`/kv/${key}`, key);
    const found = async (prefix: string) =>
      (JSON.parse((await get(`/kv/${prefix}?prefix`)).text) as JsonKey[]).map(({ value }) => value);
    assert.deepEqual(await found('%fe%ff'), ['%fe%ff', '%fe%ff%ff']);
    assert.deepEqual(await found('%ff'), ['%ff', '%ff%ff']);
    assert.equal((await remove('/kv/%fe?prefix')).text, '{"deleted":"2"}\n');
    assert.equal((await remove('/kv/%ff?prefix')).text, '{"deleted":"2"}\n');
  });

  test('pages are of one revision, whatever is written between them', async () => {
    const found: string[] = [];
    let path: string | undefined = '/kv/list/?prefix&limit=2';
    for (let page = 0; path !== undefined; page++) {
      const { text, headers }: Answer = await get(path);
      for (const { key, value } of JSON.parse(text) as JsonKey[]) found.push(`${key} ${value}`);
      path = /^<(.*)>; rel="next"$/.exec(String(headers.link ?? ''))?.[1];
      assert.equal(headers['x-etcd-more'], path === undefined ? undefined : 'true');
      await put(`/kv/list/${'abcde'[page]}2`, 'later');
      await remove('/kv/list/e');
    }
    assert.deepEqual(
      found,
      ['a', 'b', 'c', 'd', 'e'].map((name, i) => `list/${name} value ${i}`),
    );
    const { headers } = await get('/kv/list/?prefix&limit=1&keys&serializable');
    assert.match(String(headers.link), /limit=1&revision=\d+&keys&serializable&after=list\/a>/);
  });

  test('behind a key that is too long for a header the client goes on by itself', async () => {
    const long = 'l'.repeat(7000);
    for (const end of ['1', '2']) await put(`/kv/long/${long}${end}`);
    const { headers, text } = await get('/kv/long/?prefix&limit=1&keys');
    assert.deepEqual([headers.link, headers['x-etcd-more']], [undefined, 'true']);
    const [first] = JSON.parse(text) as JsonKey[];
    const next = await get(`/kv/long/?prefix&limit=1&keys&after=${first?.key}`);
    assert.equal((JSON.parse(next.text) as JsonKey[])[0]?.key, `long/${long}2`);
    assert.equal(next.headers['x-etcd-more'], undefined);
  });

  test('delete', async () => {
    const { text, status } = await remove('/kv/list/?prefix');
    assert.equal(status, 200);
    assert.match(text, /^\{"deleted":"\d"\}\n$/);
    assert.equal((await get('/kv/list/?prefix')).text, '[]\n');
    assert.equal((await get('/kv/list0')).text, 'behind');
    assert.equal((await remove('/kv/list/?prefix')).text, '{"deleted":"0"}\n');
  });
});

describe('what is refused', () => {
  const cases: readonly (readonly [
    method: string,
    path: string,
    status: number,
    message: RegExp,
    headers?: Record<string, string>,
  ])[] = [
    ['GET', '/kv', 400, /no key is given/],
    ['GET', '/kv/', 400, /no key is given/],
    ['PUT', '/kv/', 400, /no key is given/],
    ['DELETE', '/kv/', 400, /no key is given/],
    ['GET', '/watch/', 400, /no key is given: \/watch\/KEY/],
    ['DELETE', '/kv/?prefix', 400, /no prefix is given/],
    ['DELETE', '/kv?prefix=true', 400, /no prefix is given/],
    ['GET', '/kv/%', 400, /two hexadecimal digits/],
    ['GET', '/kv/a%2', 400, /two hexadecimal digits/],
    ['PUT', '/kv/a%gg', 400, /two hexadecimal digits/],
    ['GET', '/kv/a?prefx', 400, /no such parameter/],
    ['DELETE', '/kv/a?keys', 400, /no such parameter/],
    ['PUT', '/kv/a?prefix', 400, /no such parameter/],
    ['GET', '/kv/a?prefix=yes', 400, /prefix is true or false/],
    ['GET', '/kv/a?prefix&prefix', 400, /prefix is given twice/],
    ['GET', '/kv/a?revision=-1', 400, /whole number/],
    ['GET', '/kv/a?revision=0', 400, /whole number/],
    ['GET', '/kv/a?revision=9223372036854775808', 400, /whole number/],
    ['GET', '/kv/a?revision=9223372036854775807', 400, /future revision/],
    ['GET', '/kv/a?prefix&limit=many', 400, /limit is a whole number/],
    ['GET', '/kv/a?limit=1', 400, /limit goes with prefix/],
    ['GET', '/kv/a?after=1', 400, /after goes with prefix/],
    ['GET', '/kv/a?prefix&after=%', 400, /two hexadecimal digits/],
    ['PUT', '/kv/a?ttl=0', 400, /ttl is a whole number/],
    ['PUT', '/kv/a?ttl=1m', 400, /ttl is a whole number/],
    ['PUT', '/kv/a?lease=x', 400, /lease is the id/],
    ['PUT', '/kv/a?lease=1&ttl=1', 400, /lease or ttl/],
    ['PUT', '/kv/a', 415, /without Content-Encoding/, { 'content-encoding': 'gzip' }],
    ['GET', '/kv/a', 400, /invalid binary header/, { 'grpc-metadata-x-bin': '!' }],
    ['PUT', '/kv/a', 400, /a part of a value/, { 'content-range': 'bytes 0-1/2' }],
    ['DELETE', '/kv/a?prefix', 400, /about one key/, { 'if-match': '*' }],
    ['POST', '/kv/a', 405, /Method Not Allowed/],
    ['PATCH', '/kv/a', 405, /Method Not Allowed/],
    ['PROPFIND', '/kv/a', 405, /Method Not Allowed/],
    ['QUERY', '/watch/a', 405, /Method Not Allowed/],
    ['PUT', '/watch/a', 405, /Method Not Allowed/],
    ['GET', '/watch/a?keys', 400, /no such parameter/],
    ['GET', '/watch/a', 400, /Last-Event-ID/, { 'last-event-id': 'x' }],
    ['GET', '/watch/a?lastEventId=-5', 400, /Last-Event-ID/],
    // Nothing comes after the last revision that there may be.
    ['GET', '/watch/a?lastEventId=9223372036854775807', 400, /Last-Event-ID/],
    ['GET', '/watch/a?snapshot', 400, /Last-Event-ID/, { 'last-event-id': '9223372036854775807' }],
    ['GET', '/kvs/a', 404, /no such path/],
    ['GET', '/KV/a', 404, /no such path/],
    ['GET', '/', 404, /\/health.*\/kv\/KEY/],
  ];
  for (const [method, path, status, message, headers = {}] of cases)
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
    await using small = await startProxy({ endpoints: etcd.endpoints, flags: ['--max-send-bytes=100000'] });
    const answer = await ask(small.url, { method: 'PUT', path: '/kv/a?ttl=500', body: 'x'.repeat(100_000) });
    assert.equal(answer.status, 429, answer.text);
    assert.equal(error(answer).code, 8);
    const more = await ask(small.url, { method: 'PUT', path: '/kv/a', body: 'x'.repeat(5_000_000) });
    assert.equal(more.status, 429);
    assert.equal((await get('/kv/a')).text, 'stays');
  });
});
