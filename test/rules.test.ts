/** The shape of the house: which folder may import which, and how large a file may grow. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, test } from 'node:test';

/**
 * The arrows. A folder may import itself, what is named here, and nothing else of ours. `types` are folders of
 * which only types may be imported.
 */
const ARROWS: Readonly<
  Record<string, { readonly imports: readonly string[]; readonly types?: readonly string[] }>
> = {
  http2: { imports: [] },
  rpc: { imports: [] },
  etcd: { imports: ['rpc'] },
  grpc: { imports: ['http2', 'rpc'] },
  tls: { imports: [] },
  upstream: { imports: ['http2', 'grpc', 'rpc', 'etcd', 'tls', 'version.ts'], types: ['net'] },
  net: { imports: [] },
  clients: { imports: ['etcd', 'rpc', 'gen'] },
  flights: { imports: ['clients', 'etcd', 'rpc'] },
  watch: { imports: ['clients', 'etcd', 'rpc'] },
  cache: { imports: ['watch', 'clients', 'etcd', 'rpc'] },
  mvcc: { imports: ['etcd', 'rpc'] },
  mirror: { imports: ['watch', 'mvcc', 'clients', 'etcd', 'rpc'] },
  services: { imports: ['etcd', 'rpc', 'gen'] },
  web: { imports: ['rpc', 'http2', 'gen'], types: ['services'] },
  listen: { imports: ['http2', 'rpc'], types: ['grpc', 'net'] },
  observe: {
    imports: ['rpc'],
    types: ['cache', 'clients', 'config', 'flights', 'listen', 'mirror', 'net', 'tls', 'upstream', 'watch'],
  },
  config: { imports: ['net', 'tls'], types: ['clients'] },
  app: {
    imports: [
      'cache',
      'clients',
      'config',
      'etcd',
      'flights',
      'grpc',
      'http2',
      'listen',
      'mirror',
      'net',
      'observe',
      'rpc',
      'services',
      'tls',
      'upstream',
      'watch',
      'web',
    ],
  },
  'program.ts': { imports: ['app', 'config', 'observe', 'tls', 'version.ts'], types: ['signals.ts'] },
  'main.ts': { imports: ['signals.ts'] },
  'signals.ts': { imports: [] },
  'version.ts': { imports: [] },
};

const MEDIAN_LINES = 135;
const MOST_LINES = 200;
const LIMIT_LINES = 300;

const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ file, text: readFileSync(join('src', file), 'utf8') }));

interface Import {
  readonly folder: string;
  readonly typeOnly: boolean;
}

function importsOf(file: string, text: string): Import[] {
  const found: Import[] = [];
  for (const [, kind, clause, target] of text.matchAll(/^(import|export)\s([^;]*?)\sfrom '([^']+)';/gms)) {
    const path = target as string;
    const typeOnly =
      /^type\b/.test((clause as string).trim()) || (kind === 'import' && everyNameIsType(clause as string));
    if (path.startsWith('#gen/')) found.push({ folder: 'gen', typeOnly });
    else if (path.startsWith('.'))
      found.push({ folder: firstPart(normalize(join(dirname(file), path))), typeOnly });
  }
  return found;
}

function everyNameIsType(clause: string): boolean {
  const names = /^\{([^}]*)\}$/s.exec(clause.trim())?.[1];
  return names?.split(',').every((name) => name.trim() === '' || name.trim().startsWith('type ')) ?? false;
}

function firstPart(path: string): string {
  return path.split('/')[0] as string;
}

describe('import arrows', () => {
  test('point one way', () => {
    const wrong: string[] = [];
    for (const { file, text } of files) {
      const from = firstPart(file);
      const allowed = ARROWS[from];
      assert.ok(allowed, `src/${from} has no place in the table of arrows`);
      for (const { folder, typeOnly } of importsOf(file, text)) {
        if (folder === from || allowed.imports.includes(folder)) continue;
        if (typeOnly && allowed.types?.includes(folder)) continue;
        wrong.push(`src/${file} imports ${folder}`);
      }
    }
    assert.deepEqual(wrong, []);
  });

  test('the check sees a wrong arrow', () => {
    const [seen] = importsOf('http2/x.ts', "import { A } from '../grpc/server.ts';");
    assert.deepEqual(seen, { folder: 'grpc', typeOnly: false });
    const [type] = importsOf('web/x.ts', "import type { A } from '../grpc/server.ts';");
    assert.deepEqual(type, { folder: 'grpc', typeOnly: true });
  });
});

describe('the protocols of the web door', () => {
  const importing = (from: RegExp) => files.filter(({ text }) => from.test(text)).map(({ file }) => file);

  test('only web/connect/ knows Connect', () => {
    const connect = importing(/(?:from|import\() ?'@connectrpc\//);
    assert.ok(connect.length > 0);
    assert.deepEqual(
      connect.filter((file) => !file.startsWith('web/connect/')),
      [],
    );
  });

  test('what they share knows none of them', () => {
    const users = importing(/(?:from|import\() ?'[./]+connect\//);
    assert.deepEqual(users, ['web/server.ts']);
  });
});

/** Folders in which no file knows itself over others, by types either. */
const WITHOUT_CIRCLES = ['config', 'etcd'];

/** The files of its own folder that a file imports, types included. */
function neighbours(file: string, text: string): string[] {
  const targets = [...text.matchAll(/(?:\sfrom |\bimport[ (])'(\.[^']+)'/g)];
  return targets
    .map(([, target]) => normalize(join(dirname(file), target as string)))
    .filter((target) => firstPart(target) === firstPart(file));
}

/** The files of circles: what is left when those go, again and again, that import nothing or are imported by nothing. */
function inCircles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const left = new Set(graph.keys());
  for (let before = Number.POSITIVE_INFINITY; left.size < before; ) {
    before = left.size;
    for (const file of left) {
      const importsNone = !graph.get(file)?.some((target) => left.has(target));
      const importedByNone = ![...left].some((other) => graph.get(other)?.includes(file));
      if (importsNone || importedByNone) left.delete(file);
    }
  }
  return [...left];
}

describe('import circles', () => {
  for (const folder of WITHOUT_CIRCLES) {
    test(`there are none in ${folder}/, types included`, () => {
      const own = files.filter(({ file }) => firstPart(file) === folder);
      assert.notEqual(own.length, 0);
      assert.deepEqual(inCircles(new Map(own.map(({ file, text }) => [file, neighbours(file, text)]))), []);
    });
  }

  test('the check sees one, and nothing beside it', () => {
    const texts = {
      'x/a.ts': "import { B } from './b.ts';",
      'x/b.ts': "export type { C } from './deep/c.ts';\nimport '../y/a.ts';",
      'x/deep/c.ts': "let a: import('../a.ts').A;\nimport { D } from '../d.ts';",
      'x/d.ts': '',
      'x/e.ts': "import { A } from './a.ts';",
    };
    const graph = new Map(Object.entries(texts).map(([file, text]) => [file, neighbours(file, text)]));
    assert.deepEqual(inCircles(graph).sort(), ['x/a.ts', 'x/b.ts', 'x/deep/c.ts']);
  });
});

describe('file sizes', () => {
  const sizes = files
    .map(({ file, text }) => ({ file, lines: text.split('\n').length - 1 }))
    .sort((a, b) => a.lines - b.lines);

  test(`half of the files have at most ${MEDIAN_LINES} lines, nine in ten at most ${MOST_LINES}`, () => {
    assert.ok((sizes[Math.floor(sizes.length / 2)]?.lines ?? 0) <= MEDIAN_LINES);
    assert.ok((sizes[Math.floor(sizes.length * 0.9)]?.lines ?? 0) <= MOST_LINES);
  });

  test(`none has more than ${LIMIT_LINES}`, () => {
    assert.deepEqual(
      sizes.filter(({ lines }) => lines > LIMIT_LINES),
      [],
    );
  });

  test('every file opens by saying what it is', () => {
    const silent = files.filter(({ text }) => !text.startsWith('/**'));
    assert.deepEqual(
      silent.map(({ file }) => file),
      [],
    );
  });
});
