/**
 * The last good list, kept for the next start: `proxy/cluster` in the data folder, where the v2 proxy of etcd keeps its own,
 * and in a form that it would read. Written as a whole or not at all.
 */
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { mkdir, open, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Endpoint } from '../net/endpoint.ts';
import { causeOf } from './found-endpoints.ts';
import { type Membership, textsIn } from './members-page.ts';
import { endpointsOf, urlOf } from './urls.ts';

/** The largest file that is read. */
const MAX_BYTES = 1 << 20;

export class ClusterFile {
  readonly #path: string;
  readonly #from: string;
  readonly #onFailed: (cause: string) => void;
  #written = '';

  /**
   * @param seeds how the cluster is found: what a proxy with others has written is not used
   * @param onFailed hears why it cannot be read or written
   */
  constructor(dataFolder: string, seeds: string, onFailed: (cause: string) => void) {
    this.#path = join(dataFolder, 'proxy', 'cluster');
    // Not as it is: a discovery URL may have a password.
    this.#from = createHash('sha256').update(seeds).digest('hex');
    this.#onFailed = onFailed;
  }

  /** What was kept; undefined: nothing that can be used. Clients' URLs are missing where etcd's own proxy has written it. */
  read(): Membership | undefined {
    try {
      const kept: unknown = JSON.parse(readBounded(this.#path));
      const { From = this.#from } = (kept ?? {}) as { readonly From?: unknown };
      const peers = endpointsOf(textsIn(kept, 'PeerURLs'));
      if (From !== this.#from || peers.length === 0) return undefined;
      return { peers, clients: endpointsOf(textsIn(kept, 'ClientURLs')) };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const cause = error instanceof SyntaxError ? 'it is no JSON' : causeOf(error);
      if (cause !== 'ENOENT') this.#onFailed(`cannot read ${this.#path}: ${cause}`);
      return undefined;
    }
  }

  /** Keeps this, unless it is there already. Never rejects. */
  async write({ peers, clients }: Membership): Promise<void> {
    const text = JSON.stringify({ PeerURLs: urls(peers), ClientURLs: urls(clients), From: this.#from });
    if (text === this.#written) return;
    const draft = `${this.#path}.${process.pid}.draft`;
    try {
      await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
      await writeThrough(draft, text);
      await rename(draft, this.#path);
      this.#written = text;
    } catch (error) {
      this.#onFailed(`cannot write ${this.#path}: ${causeOf(error)}`);
    }
  }
}

function urls(endpoints: readonly Endpoint[]): string[] {
  return endpoints.map(urlOf).sort();
}

/** Never waits: a pipe without a writer, opened as files are, would keep the whole process, signals and all. */
function readBounded(path: string): string {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(file);
    // A device has no size, and may have no end.
    if (!stat.isFile()) throw new Error('it is no file');
    if (stat.size > MAX_BYTES) throw new Error(`more than ${MAX_BYTES} bytes`);
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
}

async function writeThrough(path: string, text: string): Promise<void> {
  await using file = await open(path, 'w', 0o600);
  await file.writeFile(text);
  await file.sync();
}
