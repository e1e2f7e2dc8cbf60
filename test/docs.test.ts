/** What the documents name is there: pages, files, flags, series, and each constant with the number that they give it. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, test } from 'node:test';
import { FLAGS } from '../src/config/flags.ts';

const DOCUMENTS = [
  'README.md',
  'DESIGN.md',
  ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => join('docs', file)),
];
const texts = new Map(DOCUMENTS.map((file) => [file, readFileSync(file, 'utf8')]));
const sources = new Map(
  readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => [file, readFileSync(join('src', file), 'utf8')]),
);

/** Those parts of all documents that match, or their first group does, and are wrong. */
function wrongIn(pattern: RegExp, isRight: (found: string, document: string) => boolean): string[] {
  return [...texts].flatMap(([document, text]) =>
    [...text.matchAll(pattern)]
      .map(([all, found = all]) => found)
      .filter((found) => !isRight(found, document))
      .map((found) => `${document}: ${found}`),
  );
}

/** The anchors of a page, as GitHub makes them of its headings. */
function anchorsOf(text: string): Set<string> {
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading as string);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** Flags of other programs: etcd, etcdctl, etcdutl, curl and Node.js. */
const OF_OTHERS = new Set([
  ...['max-request-bytes', 'max-txn-ops', 'listen-client-http-urls', 'client-cert-auth', 'enable-v2'],
  ...['bump-revision', 'mark-compacted', 'path-as-is', 'inspect', 'enable-source-maps', 'no-maglev'],
  ...['no-maglev-destroy-on-background', 'optimize-for-size', 'v8-pool-size', 'single-threaded-gc'],
  ...['min-semi-space-size', 'initial-heap-size', 'initial-old-space-size'],
]);

describe('the documents name', () => {
  test('pages and their parts that are there', () => {
    const wrong = wrongIn(/\]\(([^):]+)\)/g, (link, document) => {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? document : normalize(join(dirname(document), path));
      if (!existsSync(target)) return false;
      return anchor === undefined || anchorsOf(readFileSync(target, 'utf8')).has(anchor);
    });
    assert.deepEqual(wrong, []);
  });

  test('files that are there', () => {
    const places = ['', 'src', 'src/web', 'docs', 'test'];
    const files = ['src', 'test'].flatMap((room) => readdirSync(room, { recursive: true, encoding: 'utf8' }));
    // In backquotes, or in a drawing with its folder.
    const named = /`([\w./-]+\.(?:ts|md|proto))`|(?<![\w./-])[\w-]+(?:\/[\w-]+)+\.(?:ts|md)\b/g;
    const wrong = wrongIn(named, (path) =>
      path.includes('/')
        ? places.some((place) => existsSync(join(place, path)))
        : existsSync(path) || files.some((file) => file.endsWith(path)),
    );
    assert.deepEqual(wrong, []);
  });

  test('files in the maps of folders, which begin with START HERE', () => {
    const wrong: string[] = [];
    for (const file of readdirSync('src', { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts')) continue;
      const [map = ''] = /^\/\*\*.*?\*\//s.exec(readFileSync(join('src', file), 'utf8')) ?? [];
      if (!map.includes('START HERE')) continue;
      for (const [path] of map.matchAll(/(?<![\w./-])[\w./-]+\.ts\b/g))
        if (![dirname(file), ''].some((folder) => existsSync(join('src', folder, path))))
          wrong.push(`${file}: ${path}`);
    }
    assert.deepEqual(wrong, []);
  });

  test('flags that are there', () => {
    const flags = new Set<string>([...FLAGS.map(({ name }) => name), ...OF_OTHERS, 'help', 'version']);
    assert.deepEqual(
      wrongIn(/`--([a-z][\w-]*)/g, (name) => flags.has(name)),
      [],
    );
  });

  test('series that are there', () => {
    const table = readFileSync('test/observe/every-series.ts', 'utf8');
    const inTable = (name: string) =>
      table.includes(name) || name === 'etcd_proxy_serializable_reads_behind_total';
    // Some pages name the parts of a family by its beginning, which ends with a low line.
    assert.deepEqual(wrongIn(/`(etcd_(?:grpc_)?proxy_[a-z0-9_]+)/g, inTable), []);
  });
});

/** A row of a table of bounds that names constants. */
interface Row {
  readonly document: string;
  readonly text: string;
  readonly constants: readonly string[];
  readonly files: readonly string[];
}

/** A table of bounds: its second column is what is bounded to how much. */
const TABLE = /^\| what \| (?:setting|bound|limit) \|.*\n((?:\|.*\n)*)/gm;

const rows: readonly Row[] = [...texts].flatMap(([document, text]) =>
  [...text.matchAll(TABLE)]
    .flatMap(([, lines]) => (lines as string).split('\n'))
    .map((line) => ({
      document,
      text: line,
      constants: [...line.matchAll(/`([A-Z][A-Z0-9_]*)`/g)].map(([, name]) => name as string),
      files: [...line.matchAll(/`(?:src\/)?([\w/-]+\.ts)`/g)].map(([, file]) => file as string),
    }))
    .filter(({ constants }) => constants.length > 0),
);

/** Where a constant is declared, and with what. */
function declarationsOf(name: string): { readonly file: string; readonly value: string }[] {
  const declared = new RegExp(`^(?:export )?const ${name}(?:: [^=]+)? = ([^;]*);`, 'm');
  return [...sources].flatMap(([file, text]) => {
    const value = declared.exec(text)?.[1];
    return value === undefined ? [] : [{ file, value }];
  });
}

/** The numbers in what a constant is declared with. */
function numbersIn(value: string): number[] {
  const plain = value.replaceAll(/\/\/.*|\[[^\]]*\]/g, '').replaceAll(/(\d)_(?=\d)/g, '$1');
  return [...plain.matchAll(/\d+(?: *(?:<<|\*|\/) *\d+)*/g)].map(([term]) => numberOf(term));
}

/** The value of numbers with `<<`, `*` or `/` between them. */
function numberOf(term: string): number {
  const [first, ...others] = term.matchAll(/(<<|\*|\/)? *(\d+)/g);
  return others.reduce((left, [, operator, right]) => {
    if (operator === '<<') return left * 2 ** Number(right);
    return operator === '*' ? left * Number(right) : left / Number(right);
  }, Number(first?.[2]));
}

/** The ways in which a page may write a number. */
function spellingsOf(number: number): string[] {
  const grouped = (value: number) => String(value).replaceAll(/\B(?=(\d{3})+$)/g, ' ');
  const units: readonly (readonly [string, number])[] = [
    ['MiB', 1 << 20],
    ['KiB', 1 << 10],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1000],
    ['ms', 1],
  ];
  const whole = units.filter(([, unit]) => number % unit === 0);
  const words = { 0.5: 'half', 0.125: 'an eighth', 1000: 'a second', 5000: 'five seconds' }[number];
  return [
    grouped(number),
    ...whole.map(([name, unit]) => `${grouped(number / unit)} ${name}`),
    ...(words === undefined ? [] : [words]),
  ];
}

/** Whether a row gives a constant each of its numbers. */
function agrees(text: string, value: string): boolean {
  const numbers = numbersIn(value);
  const isSaid = (number: number) =>
    spellingsOf(number).some((spelling) => new RegExp(`(?<![\\d.] ?)${spelling}(?! ?\\d)`).test(text));
  return numbers.length > 0 && numbers.every(isSaid);
}

describe('bounds', () => {
  test('have the numbers that the tables say', () => {
    assert.ok(rows.length > 50, `${rows.length} rows`);
    const wrong = rows.flatMap(({ document, text, constants, files }) =>
      constants.flatMap((name) => {
        const all = declarationsOf(name);
        const named = all.filter(({ file }) => files.includes(file));
        const meant = named.length > 0 ? named : all;
        return meant.some(({ value }) => agrees(text, value)) ? [] : [`${document}: ${name}: ${text}`];
      }),
    );
    assert.deepEqual(wrong, []);
  });

  test('the check sees another number', () => {
    assert.deepEqual(numbersIn('{ entries: 10_000, bytes: 16 << 20 }'), [10_000, 16 << 20]);
    assert.deepEqual(numbersIn('2 * 60 * 60 * 1000'), [7_200_000]);
    assert.ok(agrees('| 10 000 of them, 16 MiB |', '{ entries: 10_000, bytes: 16 << 20 }'));
    assert.ok(!agrees('| 10 000 of them, 16 MiB |', '{ entries: 1_000, bytes: 16 << 20 }'));
    assert.ok(!agrees('| 64 MiB |', '4 << 20'));
    assert.ok(agrees('| 2 h |', '2 * 60 * 60 * 1000'));
  });
});
