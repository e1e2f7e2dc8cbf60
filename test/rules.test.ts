/** The shape of the house: which folder may import which, where no circles may be, how large a file may grow, what it says of itself. */
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
  tls: { imports: ['net'] },
  upstream: { imports: ['http2', 'grpc', 'rpc', 'etcd', 'tls', 'net', 'version.ts'] },
  net: { imports: [] },
  endpoints: { imports: ['etcd', 'net', 'rpc'], types: ['upstream'] },
  clients: { imports: ['etcd', 'rpc'] },
  flights: { imports: ['clients', 'etcd', 'rpc'] },
  watch: { imports: ['clients', 'etcd', 'rpc'] },
  lease: { imports: ['clients', 'etcd', 'rpc'] },
  cache: { imports: ['watch', 'clients', 'etcd', 'rpc'] },
  mvcc: { imports: ['etcd', 'rpc'] },
  mirror: { imports: ['watch', 'mvcc', 'clients', 'etcd', 'rpc'] },
  members: { imports: ['mirror', 'mvcc', 'etcd', 'rpc'], types: ['clients', 'watch'] },
  services: { imports: ['etcd', 'rpc'] },
  namespace: { imports: ['services', 'etcd', 'rpc'] },
  web: { imports: ['rpc', 'http2', 'net', 'gen'] },
  listen: { imports: ['http2', 'rpc', 'tls', 'net'], types: ['grpc'] },
  observe: {
    imports: ['rpc'],
    types: [
      'cache',
      'clients',
      'config',
      'endpoints',
      'flights',
      'lease',
      'listen',
      'members',
      'mirror',
      'namespace',
      'net',
      'tls',
      'upstream',
      'watch',
      'web',
    ],
  },
  config: { imports: ['net', 'tls'], types: ['clients'] },
  app: {
    imports: [
      'cache',
      'clients',
      'config',
      'endpoints',
      'etcd',
      'flights',
      'grpc',
      'lease',
      'listen',
      'members',
      'mirror',
      'namespace',
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
  'main.ts': { imports: ['signals.ts', 'program.ts'] },
  'signals.ts': { imports: [] },
  'version.ts': { imports: [] },
};

/** The rooms in which no file may lead back to itself, by imports of types either. */
const WITHOUT_CIRCLES: readonly string[] = [
  ...[
    'app',
    'cache',
    'clients',
    'config',
    'endpoints',
    'etcd',
    'flights',
    'grpc',
    'http2',
    'lease',
    'listen',
    'members',
  ],
  ...['mirror', 'mvcc', 'namespace', 'observe', 'rpc', 'services', 'tls', 'upstream', 'watch', 'web'],
];

const MEDIAN_LINES = 135;
const MOST_LINES = 200;
const LIMIT_LINES = 300;

const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ file, text: readFileSync(join('src', file), 'utf8') }));

interface Import {
  /** The file, below `src`, or the room `gen`. */
  readonly file: string;
  readonly folder: string;
  readonly typeOnly: boolean;
}

function importsOf(file: string, text: string): Import[] {
  const found: Import[] = [];
  for (const [, kind, clause, from] of text.matchAll(/^(import|export)\s([^;]*?)\sfrom '([^']+)';/gms)) {
    const path = from as string;
    const typeOnly =
      /^type\b/.test((clause as string).trim()) || (kind === 'import' && everyNameIsType(clause as string));
    if (path.startsWith('#gen/')) found.push({ file: 'gen', folder: 'gen', typeOnly });
    else if (path.startsWith('.')) {
      const target = normalize(join(dirname(file), path));
      found.push({ file: target, folder: firstPart(target), typeOnly });
    }
  }
  // What is read later is imported too.
  for (const [, path] of text.matchAll(/\bimport\('(\.[^']+)'\)(?!\.)/g)) {
    const target = normalize(join(dirname(file), path as string));
    found.push({ file: target, folder: firstPart(target), typeOnly: false });
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

  test('are all used', () => {
    const used = new Set(
      files.flatMap(({ file, text }) =>
        importsOf(file, text).map(({ folder }) => `${firstPart(file)} → ${folder}`),
      ),
    );
    const unused = Object.entries(ARROWS)
      .flatMap(([from, { imports, types = [] }]) => [...imports, ...types].map((to) => `${from} → ${to}`))
      .filter((arrow) => !used.has(arrow));
    assert.deepEqual(unused, []);
  });

  test('are those that DESIGN.md shows, but for what is generated', () => {
    const listed = (names: string) => names.split(', ');
    const shown = new Map<string, Set<string>>();
    const [, block = ''] = /^```\nmain → .*?\n(.*?)^```/ms.exec(readFileSync('DESIGN.md', 'utf8')) ?? [];
    for (const clause of block.split(/ {2,}|\n/)) {
      const [from, to = ''] = clause.split(' → ');
      if (to === '') continue;
      const [rooms = '', types] = to.split('; types of ');
      for (const room of listed(from as string)) {
        const all = shown.get(room) ?? new Set();
        for (const name of listed(rooms)) all.add(name);
        for (const name of types === undefined ? [] : listed(types)) all.add(`types of ${name}`);
        shown.set(room, all);
      }
    }
    assert.ok(shown.size > 10);
    for (const [room, arrows] of shown) {
      const { imports = [], types = [] } = ARROWS[room] ?? {};
      const inTable = [...imports, ...types.map((name) => `types of ${name}`)];
      const ours = inTable.filter((name) => name !== 'gen' && name !== 'version.ts');
      assert.deepEqual([...arrows].toSorted(), ours.toSorted(), room);
    }
    const alone = Object.keys(ARROWS).filter((room) => !room.includes('.') && !shown.has(room));
    assert.deepEqual(alone.toSorted(), ['app', 'http2', 'net', 'observe', 'rpc']);
  });

  test('the check sees a wrong arrow', () => {
    const [seen] = importsOf('http2/x.ts', "import { A } from '../grpc/server.ts';");
    assert.deepEqual(seen, { file: 'grpc/server.ts', folder: 'grpc', typeOnly: false });
    const [type] = importsOf('web/x.ts', "import type { A } from '../grpc/server.ts';");
    assert.deepEqual(type, { file: 'grpc/server.ts', folder: 'grpc', typeOnly: true });
    const [later] = importsOf('web/x.ts', "const { A } = await import('../grpc/server.ts');");
    assert.deepEqual(later, { file: 'grpc/server.ts', folder: 'grpc', typeOnly: false });
  });
});

interface SourceFile {
  readonly file: string;
  readonly text: string;
}

/** The circles of imports among some files, each as the way from a file back to it. Of many that share files not all are named. */
function circlesOf(sources: readonly SourceFile[]): string[] {
  const open = new Map(
    sources.map(({ file, text }) => [file, importsOf(file, text).map(({ file }) => file)]),
  );
  const circles: string[] = [];
  const way: string[] = [];
  const visit = (file: string): void => {
    const at = way.indexOf(file);
    if (at >= 0) circles.push([...way.slice(at), file].join(' -> '));
    const targets = open.get(file);
    if (at >= 0 || targets === undefined) return;
    way.push(file);
    for (const target of targets) visit(target);
    way.pop();
    open.delete(file);
  };
  for (const { file } of sources) visit(file);
  return circles;
}

describe('circles of imports', () => {
  for (const room of WITHOUT_CIRCLES)
    test(`there is none in ${room}/`, () => {
      const sources = files.filter(({ file }) => firstPart(file) === room);
      assert.ok(sources.length > 1, `src/${room} is no room`);
      assert.deepEqual(circlesOf(sources), []);
    });

  test('the check sees a circle, be it of types', () => {
    const sources = [
      { file: 'watch/a.ts', text: "import { B } from './b.ts';\nimport { D } from './d.ts';\n" },
      { file: 'watch/b.ts', text: "import type { C } from './c.ts';\n" },
      { file: 'watch/c.ts', text: "import { type D } from './d.ts';\nexport type { B } from './b.ts';\n" },
      { file: 'watch/d.ts', text: "import { X } from '../etcd/x.ts';\n" },
    ];
    assert.deepEqual(circlesOf(sources), ['watch/b.ts -> watch/c.ts -> watch/b.ts']);
    assert.deepEqual(circlesOf(sources.slice(1, 2)), []);
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
    for (const folder of ['connect', 'gateway', 'kv'])
      assert.deepEqual(importing(new RegExp(`(?:from|import\\() ?'[./]+${folder}/`)).sort(), [
        'web/parts.ts',
        'web/server.ts',
      ]);
  });
});

/** A file's code: what is left without its comments. */
function codeOf(text: string): string {
  return text.replaceAll(/\/\*.*?\*\//gs, '').replaceAll(/(^|\s)\/\/.*$/gm, '');
}

/** Places outside of etcd/ that say what etcd says, and why. */
const ALSO_SAID: Readonly<Record<string, string>> = {
  'services/health.ts': "a service of gRPC's, which is also etcd's",
  'upstream/health-watch.ts': 'the same',
};

/** What belongs into etcd/: protobuf tags written by hand, the character above all keys, and the sentences of etcd. */
const ETCDS = [
  /\buint32\(\s*(0x|\d)/,
  /\b\w*_TAG = (0x|\d)/,
  /\.tag\(\s*(0x|\d)/,
  /\.of\(0x\w\w, /,
  /\bfield === \d/,
  /u0100/,
  /['"`](etcdserver|mvcc|auth|lease|raft): /,
  /no leader|leader changed|has been compacted|is not enabled|duplicate watch ID|user name is empty/,
  /['"`]\/(etcdserverpb|v3lockpb|v3electionpb)\./,
];

describe("etcd's wire and words", () => {
  test('stand in etcd/ alone', () => {
    const found: string[] = [];
    for (const { file, text } of files) {
      if (firstPart(file) === 'etcd' || file in ALSO_SAID) continue;
      const code = codeOf(text);
      for (const pattern of ETCDS)
        if (pattern.test(code)) found.push(`src/${file}: ${pattern.exec(code)?.[0]}`);
    }
    assert.deepEqual(found, []);
  });

  test('the check sees them', () => {
    const seen = (code: string) => ETCDS.some((pattern) => pattern.test(codeOf(code)));
    for (const code of [
      'new BinaryWriter().uint32(0x0a)',
      'const HEADER_TAG = 0x0a;',
      'const GRANT = Uint8Array.of(0x08, 60);',
      "const NO_END = '\\u0100';",
      "return 'etcdserver: permission denied';",
      "message.includes('no leader')",
      "const path = '/etcdserverpb.KV/Range';",
      "if (field === 4 && wireType === WireType.Varint) return 'x'; // why",
    ])
      assert.ok(seen(code), code);
    assert.ok(!seen("/* 'mvcc: x' */ const a = 1; // 'etcdserver: no leader'"));
  });
});

/** Lists that are spread into the arguments of a call, and why they are short: V8 takes some 120 000 arguments. */
const SHORT_LISTS: Readonly<Record<string, string>> = {
  'config/usage.ts: .push(...': 'lines of --help',
  'etcd/field-text.ts: .fromCharCode(tag, ...': 'a varint',
  'http2/watchdog.ts: .min(...': 'kinds of time-outs',
  'upstream/choice.ts: .min(...': 'connections in use',
};

/** Such a call. */
const SPREAD =
  /\.(push|unshift|splice|min|max|fromCharCode|fromCodePoint|concat|hypot)\(([^()[\]]*, )?\.\.\./g;

describe('lists spread into arguments', () => {
  test('are all known to be short', () => {
    const found = files.flatMap(({ file, text }) =>
      (codeOf(text).match(SPREAD) ?? []).map((call) => `${file}: ${call}`),
    );
    assert.deepEqual(found.sort(), Object.keys(SHORT_LISTS).sort());
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
});

/** What a file exports without a docstring right above it. */
function undocumented(text: string): string[] {
  const exported = /(.*)\nexport (?:abstract |async )?(?:class|interface|type|const|function\*?) (\w+)/g;
  return [...text.matchAll(exported)]
    .filter(([, above]) => !above?.endsWith('*/'))
    .map(([, , name]) => name as string);
}

describe('docstrings', () => {
  test('every file opens by saying what it is', () => {
    const silent = files.filter(({ text }) => !text.startsWith('/**'));
    assert.deepEqual(
      silent.map(({ file }) => file),
      [],
    );
  });

  test('of what a file exports, one thing at most has no other docstring than that', () => {
    const several = files
      .map(({ file, text }) => ({ file, names: undocumented(text) }))
      .filter(({ names }) => names.length > 1);
    assert.deepEqual(several, []);
  });

  test('the check sees what has none', () => {
    assert.deepEqual(undocumented('/** A. */\nexport class A {}\n\nexport const b = 1;\n'), ['b']);
  });
});

describe('observe/', () => {
  test('a file that logs is not called metrics', () => {
    const logs = /\blog(?:ger)?\.(?:debug|info|warn|error)\(/;
    const logging = files.filter(({ file, text }) => /^observe\/.*metrics/.test(file) && logs.test(text));
    assert.deepEqual(
      logging.map(({ file }) => file),
      [],
    );
  });
});
