/**
 * `npm run build`: the program as few files in `dist/`, which takes half the time to start that its 500 modules take, and
 * V8's cache of what it compiled. Types are checked by `npm run lint`.
 */
import { rm } from 'node:fs/promises';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { startProxy } from '../test/support/proxy.ts';

const root = join(import.meta.dirname, '..');
const outdir = join(root, 'dist');

/**
 * Modules of Node.js are read by `getBuiltinModule`, and of what they export only what is used. An `import` looks at all of it,
 * and so does what esbuild makes of one; `node:http` alone then reads the whole of `fetch`: 15 MiB, and as long as a bare
 * Node.js takes to start.
 */
const nodeModules: Plugin = {
  name: 'modules of Node.js',
  setup({ onResolve, onLoad }) {
    const [imported, required] = ['node', 'node, required'];
    onResolve({ filter: /^(node:)?[a-z_0-9/]+$/ }, ({ path, kind }) => {
      const name = path.replace(/^node:/, '');
      if (!builtinModules.includes(name)) return undefined;
      return { path: name, namespace: kind === 'require-call' ? required : imported };
    });
    const reading = (path: string): string => `process.getBuiltinModule(${JSON.stringify(path)})`;
    onLoad({ filter: /.*/, namespace: required }, ({ path }) => ({
      contents: `module.exports = ${reading(path)};`,
    }));
    onLoad({ filter: /.*/, namespace: imported }, ({ path }) => ({
      contents: [
        `const $module = ${reading(path)};`,
        'const $read = (name) => $module[name];',
        'export default $module;',
        ...namesOf(path).map((name) => `export const ${name} = /* @__PURE__ */ $read('${name}');`),
      ].join('\n'),
    }));
  },
};

/** What a module of Node.js exports. */
function namesOf(path: string): string[] {
  const names = Object.getOwnPropertyNames(process.getBuiltinModule(path) ?? {});
  return names.filter((name) => /^[a-z_]\w*$/i.test(name) && name !== 'default');
}

/** What libraries have for others, and read at once: half of what they are. */
const LEFT_OUT: readonly (readonly [library: string, modules: RegExp])[] = [
  // No route has a schema, no proxy is trusted, and connections are handed over.
  ['fastify', /^(@fastify\/(ajv-compiler|fast-json-stringify-compiler|proxy-addr)|light-my-request)$/],
  ['fastify', /^node:(http2|https)$/],
  // One process, which is scraped; no exemplars.
  ['@prometheus-io/client', /^(\.\/lib\/(cluster|worker|pushgateway)|@opentelemetry\/api)$/],
  // The log writes to a sink of its own.
  ['pino', /^(sonic-boom|\.\/(lib\/)?(transport|multistream))$/],
];

/** Puts something in their place that throws when it is used. */
const leftOut: Plugin = {
  name: 'what is left out',
  setup({ onResolve, onLoad }) {
    const namespace = 'left-out';
    onResolve({ filter: /.*/ }, ({ path, importer }) => {
      const out = LEFT_OUT.some(
        ([library, modules]) => modules.test(path) && importer.includes(`/node_modules/${library}/`),
      );
      return out ? { path, namespace } : undefined;
    });
    onLoad({ filter: /.*/, namespace }, ({ path }) => ({
      contents: `module.exports = function leftOut() { throw new Error(${JSON.stringify(`${path} is left out of the build`)}); };`,
    }));
  },
};

const common: BuildOptions = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node22',
  legalComments: 'none',
  logLevel: 'warning',
};

/** The program of a thread, whole and as a text: see `src/web/decode-program.ts`. */
const threads: Plugin = {
  name: 'programs of threads',
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/web\/decode-program\.ts$/ }, async () => {
      const entryPoints = ['src/web/decode-worker.ts'];
      const options = { ...common, entryPoints, format: 'cjs', minify: true, write: false } as const;
      const { outputFiles } = await build({ ...options, plugins: [nodeModules] });
      return { contents: `export const DECODE_PROGRAM = ${JSON.stringify(outputFiles[0]?.text)};` };
    });
  },
};

await rm(outdir, { recursive: true, force: true });
await build({
  ...common,
  entryPoints: ['src/main.ts'],
  outdir,
  entryNames: '[name]',
  chunkNames: '[name]-[hash]',
  splitting: true,
  format: 'esm',
  sourcemap: 'linked',
  // For what the modules of libraries that are not ESM read of Node.js.
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
  },
  plugins: [leftOut, threads, nodeModules],
});

/** Runs the program once, with something for each part to do: what V8 compiled is written when it ends. */
await using proxy = await startProxy({ endpoints: ['127.0.0.1:1'] });
for (const [path, type, body] of [
  ['/grpc.health.v1.Health/Check', 'application/grpc-web+proto', Buffer.from('00000000030a0178', 'hex')],
  ['/grpc.health.v1.Health/Check', 'application/json', '{"service":"x"}'],
  ['/v3/kv/range', 'application/json', '{"key":7}'],
  ['/metrics', 'text/plain', undefined],
] as const) {
  const method = body === undefined ? 'GET' : 'POST';
  const response = await fetch(proxy.url + path, {
    method,
    headers: { 'content-type': type },
    body: body ?? null,
  });
  await response.arrayBuffer();
}
