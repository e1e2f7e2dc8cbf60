/**
 * What the objects of a running proxy hold, for the report of a failure: read from a snapshot of its heap, so that nothing
 * has to be in the program for it, and the program is the one that is built.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { tempDir } from '../../support/process.ts';
import type { RunningProxy } from '../../support/proxy.ts';

const PRELOAD = pathToFileURL(join(import.meta.dirname, 'heap-preload.ts')).href;

interface Snapshot {
  readonly snapshot: {
    readonly meta: {
      readonly node_fields: string[];
      readonly edge_fields: string[];
      readonly edge_types: string[][];
    };
  };
  readonly nodes: number[];
  readonly edges: number[];
  readonly strings: string[];
}

/** A value of the heap. */
class Value {
  readonly #heap: Heap;
  readonly #node: number;

  constructor(heap: Heap, node: number) {
    this.#heap = heap;
    this.#node = node;
  }

  /** What a path of fields leads to; nothing where there is none. */
  at(...path: readonly string[]): Value | undefined {
    let node: number | undefined = this.#node;
    for (const field of path) {
      if (node === undefined) return undefined;
      node = this.#heap.field(node, field);
    }
    return node === undefined ? undefined : new Value(this.#heap, node);
  }

  /** A number, a truth value or the name of a class. */
  get text(): string {
    const number = this.#heap.field(this.#node, 'value');
    return this.#heap.name(number ?? this.#node);
  }
}

class Heap {
  readonly #snapshot: Snapshot;
  readonly #nodeFields: number;
  readonly #edgeFields: number;
  readonly #types: readonly string[];
  /** The first edge of each node. */
  readonly #edges: readonly number[];

  constructor(snapshot: Snapshot) {
    const { node_fields: nodeFields, edge_fields: edgeFields, edge_types: types } = snapshot.snapshot.meta;
    this.#snapshot = snapshot;
    this.#nodeFields = nodeFields.length;
    this.#edgeFields = edgeFields.length;
    this.#types = types[0] as string[];
    const edges: number[] = [];
    let edge = 0;
    for (let node = 0; node < snapshot.nodes.length; node += this.#nodeFields) {
      edges.push(edge);
      edge += snapshot.nodes[node + 4] as number;
    }
    this.#edges = edges;
  }

  name(node: number): string {
    const { strings, nodes } = this.#snapshot;
    return strings[nodes[node + 1] as number] as string;
  }

  /** All objects of a class with a field. */
  *objects(kind: string, field: string): Iterable<Value> {
    for (let node = 0; node < this.#snapshot.nodes.length; node += this.#nodeFields)
      if (this.name(node) === kind && this.field(node, field) !== undefined) yield new Value(this, node);
  }

  field(node: number, name: string): number | undefined {
    const { edges, strings, nodes } = this.#snapshot;
    const first = this.#edges[node / this.#nodeFields] as number;
    for (let i = 0; i < (nodes[node + 4] as number); i++) {
      const at = (first + i) * this.#edgeFields;
      const type = this.#types[edges[at] as number];
      if (type !== 'property' && type !== 'internal') continue;
      if (strings[edges[at + 1] as number] === name) return edges[at + 2];
    }
    return undefined;
  }
}

/** A proxy that can be asked. */
export class HeapFolder implements AsyncDisposable {
  readonly env: NodeJS.ProcessEnv;
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.env = { NODE_OPTIONS: `--import=${PRELOAD}`, MODEL_HEAP: join(folder, 'proxy.heapsnapshot') };
  }

  static async make(): Promise<HeapFolder> {
    return new HeapFolder(await tempDir('model-heap'));
  }

  /** Each client's watch stream, and each feed. */
  async state({ process }: RunningProxy): Promise<string[]> {
    process.signal('SIGUSR2');
    const { file } = JSON.parse(await process.waitForLine(/"msg":"heap written"/, 60_000)) as {
      file: string;
    };
    const heap = new Heap(JSON.parse(await readFile(file, 'utf8')) as Snapshot);
    await rm(file);
    return [
      'streams of clients:',
      ...linesOf(heap.objects('WatchStream', '#over'), STREAM),
      'feeds:',
      ...linesOf(heap.objects('Feed', '#store'), FEED),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true });
  }
}

type Fields = Readonly<Record<string, string>>;

/** A client's watch stream: what it waits for, and what its connection does. */
const STREAM: Fields = {
  over: '#over',
  blocked: 'blocked',
  'awaits a leader': '#awaitsLeader',
  'not read': '#line.#paused',
  needDrain: '#client.stream.needDrain',
  closed: '#client.stream.closed',
  window: '#client.stream.sendWindow',
  'in ring': '#client.stream.inRing',
  queued: '#client.stream.queue.length',
  'window of its connection': '#client.stream.connection.scheduler.window',
  'queued there': '#client.stream.connection.scheduler.queued',
  'pending there': '#client.stream.connection.output.pending',
  'writes there': '#client.stream.connection.output.writing',
  'input paused': '#client.stream.input.paused',
  'input held': '#client.stream.input.held.bytes',
  'input window': '#client.stream.input.window',
  charged: '#client.stream.input.charged',
  'window for it': '#client.stream.connection.receiver.window',
  'owed for it': '#client.stream.connection.receiver.owed',
  'shut for it': '#client.stream.connection.receiver.shut',
  'brake on': '#client.stream.connection.guard.brake.on',
  'link paused': '#client.stream.connection.link.paused',
  'first ticket ready': '#line.#line.0.ready',
  identity: 'feeds.identity.id',
};

/** A feed, and its watch on etcd. */
const FEED: Fields = {
  range: 'range.start',
  state: '#stream.state',
  parked: '#stream.parked',
  applied: 'applied',
  announced: '#store.header.revision',
  target: '#target',
  watch: '#stream.#watch.watch.start',
  over: '#stream.#watch.#over',
  seat: '#stream.#watch.#seat.id',
  'created at': '#stream.#watch.#seat.createdAt',
  'stream over': '#stream.#watch.#seat.stream.#over',
  moves: '#stream.#watch.#move',
};

function linesOf(objects: Iterable<Value>, fields: Fields): string[] {
  const lines = new Map<string, number>();
  for (const object of objects) {
    const values = Object.entries(fields).map(
      ([name, path]) => `${name} ${object.at(...path.split('.'))?.text}`,
    );
    const line = values.join(', ');
    lines.set(line, (lines.get(line) ?? 0) + 1);
  }
  return [...lines].map(([line, count]) => `${count} × ${line}`);
}
