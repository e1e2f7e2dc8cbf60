/** HPACK: the vectors of RFC 7541 appendix C, round trips, and what a decoder must refuse. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { HpackDecoder } from '../../src/http2/hpack/decoder.ts';
import { encodeHeaders } from '../../src/http2/hpack/encoder.ts';
import { FirstBlocks } from '../../src/http2/hpack/first-blocks.ts';
import { huffmanDecode, huffmanEncode, huffmanLength } from '../../src/http2/hpack/huffman.ts';
import { ErrorCode, type HeaderList, Http2Error } from '../../src/http2/index.ts';

function decode(decoder: HpackDecoder, hex: string): HeaderList {
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  return decoder.decode(bytes, 0, bytes.length).list;
}

function fresh(tableSize = 4096, maxList = 65_536): HpackDecoder {
  return new HpackDecoder(tableSize, maxList);
}

const request1 = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com'];
const request2 = [...request1, 'cache-control', 'no-cache'];
const request3 = [
  ...[':method', 'GET', ':scheme', 'https', ':path', '/index.html', ':authority', 'www.example.com'],
  ...['custom-key', 'custom-value'],
];
const date1 = 'Mon, 21 Oct 2013 20:13:21 GMT';
const date2 = 'Mon, 21 Oct 2013 20:13:22 GMT';
const site = 'https://www.example.com';
const cookie = 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1';
const response1 = [':status', '302', 'cache-control', 'private', 'date', date1, 'location', site];
const response2 = [':status', '307', 'cache-control', 'private', 'date', date1, 'location', site];
const response3 = [
  ...[':status', '200', 'cache-control', 'private', 'date', date2, 'location', site],
  ...['content-encoding', 'gzip', 'set-cookie', cookie],
];

describe('RFC 7541 appendix C', () => {
  test('C.2: single fields', () => {
    assert.deepEqual(decode(fresh(), '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572'), [
      'custom-key',
      'custom-header',
    ]);
    assert.deepEqual(decode(fresh(), '040c 2f73 616d 706c 652f 7061 7468'), [':path', '/sample/path']);
    assert.deepEqual(decode(fresh(), '1008 7061 7373 776f 7264 0673 6563 7265 74'), ['password', 'secret']);
    assert.deepEqual(decode(fresh(), '82'), [':method', 'GET']);
  });

  test('C.3 and C.4: requests, plain and Huffman-coded', () => {
    const plain = fresh();
    assert.deepEqual(decode(plain, '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d'), request1);
    assert.deepEqual(decode(plain, '8286 84be 5808 6e6f 2d63 6163 6865'), request2);
    const third = '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65';
    assert.deepEqual(decode(plain, third), request3);
    const coded = fresh();
    assert.deepEqual(decode(coded, '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff'), request1);
    assert.deepEqual(decode(coded, '8286 84be 5886 a8eb 1064 9cbf'), request2);
    assert.deepEqual(decode(coded, '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf'), request3);
  });

  test('C.5: responses through a table of 256 octets, with evictions', () => {
    const decoder = fresh();
    const text = (value: string) => Buffer.from(value).toString('hex');
    const literal = (value: string) => value.length.toString(16).padStart(2, '0') + text(value);
    decode(decoder, '3fe101'); // table size 256
    const first = `48${literal('302')}58${literal('private')}61${literal(date1)}6e${literal(site)}`;
    assert.deepEqual(decode(decoder, first), response1);
    assert.deepEqual(decode(decoder, '4803 3330 37c1 c0bf'), response2);
    const third = `88c161${literal(date2)}c05a${literal('gzip')}77${literal(cookie)}`;
    assert.deepEqual(decode(decoder, third), response3);
  });

  test('C.6: responses, Huffman-coded', () => {
    const decoder = fresh();
    decode(decoder, '3fe101');
    const first =
      '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3';
    assert.deepEqual(decode(decoder, first), response1);
    assert.deepEqual(decode(decoder, '4883 640e ffc1 c0bf'), response2);
    const third =
      '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07';
    assert.deepEqual(decode(decoder, third), response3);
  });
});

describe('properties', () => {
  const latin1 = fc.string({
    unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
  });

  test('Huffman: decode(encode(x)) = x, and the length is as announced', () => {
    fc.assert(
      fc.property(latin1, (text) => {
        const bytes = Buffer.alloc(huffmanLength(text));
        assert.equal(huffmanEncode(text, bytes, 0), bytes.length);
        assert.equal(huffmanDecode(bytes, 0, bytes.length), text);
      }),
    );
  });

  test('header lists survive, also long ones and never-indexed ones', () => {
    const list = fc.array(fc.tuple(latin1, latin1)).map((pairs) => pairs.flat());
    fc.assert(
      fc.property(list, fc.boolean(), (headers, sensitive) => {
        const never = sensitive ? new Set(headers) : undefined;
        const block = Buffer.from(encodeHeaders(headers, never));
        assert.deepEqual(fresh(4096, 1 << 20).decode(block, 0, block.length).list, headers);
      }),
    );
  });

  test('any bytes decode, or fail with COMPRESSION_ERROR or ENHANCE_YOUR_CALM', () => {
    const blocks = fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 5 });
    fc.assert(
      fc.property(blocks, (inputs) => {
        const decoder = fresh();
        for (const input of inputs) {
          try {
            decoder.decode(Buffer.from(input), 0, input.length);
          } catch (error) {
            assert.ok(error instanceof Http2Error, String(error));
            assert.ok(
              [ErrorCode.COMPRESSION_ERROR, ErrorCode.ENHANCE_YOUR_CALM].some((c) => c === error.code),
            );
          }
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the first blocks of connections', () => {
  /** Decoders that remember them together. */
  const together =
    (limit = 1 << 16, firsts = new FirstBlocks()) =>
    () =>
      new HpackDecoder(4096, limit, 4, firsts);

  test('give the same list from the third connection on, and leave the table as they do by themselves', () => {
    const begin = together();
    const first = '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d 400161 0162';
    const lists = Array.from({ length: 4 }, () => {
      const [decoder, alone] = [begin(), fresh()];
      const list = decode(decoder, first);
      assert.deepEqual(list, decode(alone, first));
      for (const later of ['82be bf', '400163 0164', 'bebf c0', '3fe11f be', first])
        assert.deepEqual(decode(decoder, later), decode(alone, later));
      assert.throws(() => decode(decoder, 'ff80 01'), { code: ErrorCode.COMPRESSION_ERROR });
      return list;
    });
    assert.notEqual(lists[0], lists[1]);
    assert.deepEqual([lists[1] === lists[2], lists[2] === lists[3]], [true, true]);
  });

  test('are not the others, whatever these leave alone', () => {
    const begin = together();
    for (let i = 0; i < 3; i++) {
      const decoder = begin();
      decode(decoder, '82');
      decode(decoder, '83');
    }
    assert.notEqual(decode(begin(), '83'), decode(begin(), '83'));
  });

  test('are not remembered where they change the size of the table, or what they put there did not stay', () => {
    const begin = together();
    const crowd = `407fad01 ${'6e'.repeat(300)} 0161 ${'7e0162'.repeat(13)}`;
    for (const block of ['20 82', '3fe101 400161 0162', crowd]) {
      const lists = Array.from({ length: 4 }, () => decode(begin(), block));
      assert.equal(new Set(lists).size, 4, block.slice(0, 20));
    }
  });

  test('are none of a connection that takes longer lists, or shorter ones', () => {
    const firsts = new FirstBlocks();
    const block = `400161 0b${'78'.repeat(11)}`;
    const octets = Buffer.from(block.replaceAll(' ', ''), 'hex');
    for (const limit of [1 << 16, 1 << 16, 1 << 16, 20, 20, 20, 1 << 16]) {
      const { tooLarge } = together(limit, firsts)().decode(octets, 0, octets.length);
      assert.equal(tooLarge, limit === 20);
    }
  });

  test('of which each comes once take nobody’s place', (t) => {
    const begin = together();
    for (let i = 0; i < 3; i++) decode(begin(), '82 400161 0162');
    const copies = t.mock.method(Uint8Array.prototype, 'slice');
    for (let i = 0; i < 256; i++) decode(begin(), `400161 02${(0x4000 + i).toString(16)}`);
    assert.equal(copies.mock.callCount(), 0);
    assert.equal(decode(begin(), '82 400161 0162'), decode(begin(), '82 400161 0162'));
  });
});

describe('the memo of blocks', () => {
  test('a repeated block gives the same list', () => {
    const decoder = fresh();
    decode(decoder, '400161 0162');
    decode(decoder, '82be');
    assert.equal(decode(decoder, '82be'), decode(decoder, '82be'));
  });

  test('nothing is kept for a block that comes once', (t) => {
    const copies = t.mock.method(Uint8Array.prototype, 'slice');
    const decoder = fresh();
    assert.notEqual(decode(decoder, '82'), decode(decoder, '82'));
    assert.equal(copies.mock.callCount(), 1, 'when it comes again');
    decode(decoder, '83');
    decode(decoder, '84');
    decode(decoder, '85');
    assert.equal(copies.mock.callCount(), 1);
  });

  test('a block that refers to the dynamic table is decoded anew when the table has changed', () => {
    const decoder = fresh();
    decode(decoder, '400161 0162');
    for (let i = 0; i < 3; i++) assert.deepEqual(decode(decoder, '82be'), [':method', 'GET', 'a', 'b']);
    decode(decoder, '400163 0164');
    assert.deepEqual(decode(decoder, '82be'), [':method', 'GET', 'c', 'd']);
    decode(decoder, '20');
    assert.throws(() => decode(decoder, '82be'), { code: ErrorCode.COMPRESSION_ERROR });
  });

  test('a short block of a long list is not remembered: what is made of the list would be kept with it', () => {
    const decoder = fresh(4096, 1 << 20);
    decode(decoder, `400161${Buffer.from([0x7f, 0xb9, 0x16]).toString('hex')}${'78'.repeat(3000)}`);
    for (const [references, remembered] of [
      [2, true],
      [3, false],
      [60, false],
    ] as const) {
      const block = Buffer.alloc(references, 0xbe);
      decoder.decode(block, 0, block.length);
      const first = decoder.decode(block, 0, block.length);
      assert.equal(first.list.length, 2 * references);
      assert.equal(decoder.decode(block, 0, block.length) === first, remembered, `${references} references`);
    }
  });

  test('a block that inserts is never remembered', () => {
    const decoder = fresh();
    for (let i = 0; i < 3; i++) decode(decoder, '400161 0162');
    assert.deepEqual(decode(decoder, 'bebfc0'), ['a', 'b', 'a', 'b', 'a', 'b']);
  });
});

describe('what is refused', () => {
  const refused: [string, string][] = [
    ['index 0', '80'],
    ['an index past the tables', 'be'],
    ['a string longer than its block', '0001'],
    ['an integer without end', 'ffffffffffffff'],
    ['an integer cut off', 'ff'],
    ['EOS in a string', '000161 84ffffffff'],
    ['padding of more than 7 bits', '000161 821fff'],
    ['padding of zeros', '000161 8118'],
    ['a size update after a field', '8220'],
    ['a size update over the limit', '3fe21f'],
  ];
  for (const [what, hex] of refused) {
    test(what, () => {
      assert.throws(() => decode(fresh(), hex), { code: ErrorCode.COMPRESSION_ERROR });
    });
  }

  test('a block without size update after our limit went down', () => {
    const decoder = fresh();
    decoder.acknowledge(100);
    assert.throws(() => decode(decoder, '82'), { code: ErrorCode.COMPRESSION_ERROR });
    const other = fresh();
    other.acknowledge(100);
    assert.deepEqual(decode(other, '3f4582'), [':method', 'GET']);
  });

  test('a list over its limit is cut, one far over it is an attack', () => {
    const decoder = fresh(4096, 100);
    const block = Buffer.from(encodeHeaders(['a', 'b', 'c', 'd'.repeat(200)]));
    assert.equal(decoder.decode(block, 0, block.length).tooLarge, true);
    const bomb = Buffer.from(encodeHeaders(['c', 'd'.repeat(500)]));
    assert.throws(() => decoder.decode(bomb, 0, bomb.length), { code: ErrorCode.ENHANCE_YOUR_CALM });
  });
});

test('HPACK index 0 is an error, whatever follows (RFC 7541 section 6.1)', () => {
  const decoder = new HpackDecoder(4096, 65_536);
  const block = Buffer.from([0x80, 1, 0x78, 1, 0x79]);
  assert.throws(() => decoder.decode(block, 0, block.length), { code: ErrorCode.COMPRESSION_ERROR });
});
