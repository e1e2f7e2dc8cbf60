/** Keys as resources of plain HTTP, beside a real etcd: what each request gets, and what is in the store then. */
import assert from 'node:assert/strict';
import { connect as connectHttp2 } from 'node:http2';
import { before, describe, test } from 'node:test';
import type { Answer } from './kv/ask.ts';
import { b64, error, type JsonKey, keysPlace, revision, tag } from './kv/keys-place.ts';

const { to, get, put, remove, etcds, stored, url } = keysPlace();
const leases = async (): Promise<string[]> =>
  (((await etcds('lease/leases', {})).leases ?? []) as { ID: string }[]).map(({ ID }) => ID);

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
    const session = connectHttp2(url());
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
