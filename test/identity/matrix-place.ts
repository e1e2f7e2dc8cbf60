/** An etcd with users of every kind, several proxies in front of it, and somebody who changes things behind their backs. */
import { createHmac } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Client, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { type EtcdCluster, type EtcdInstall, startEtcd } from '../support/etcd.ts';
import { tempDir } from '../support/process.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { b } from '../support/watch-client.ts';
import { type TokenKind, tokens } from '../watch/tokens.ts';
import { type Credentials, type Door, directDoor, doorsOf, insideDoor } from './doors.ts';

const PASSWORD = 'pw';

/** The namespace of some proxies. */
export const NAMESPACE = '/ns/';

/** Everybody but the proxy: name, and what it may do (0 read, 1 write) with which prefix. */
const USERS: readonly (readonly [name: string, permission: 0 | 1 | undefined, prefix: string])[] = [
  ['root', undefined, ''],
  ['reader', 0, '/a/'],
  ['other', 0, '/a/'],
  ['gone', 0, '/a/'],
  ['writer', 1, '/b/'],
  ['none', undefined, ''],
];

/** A proxy as it is run, by a name for messages. */
export interface Setup {
  readonly name: string;
  readonly flags: readonly string[];
  /** Whether it has a user of its own. */
  readonly own: boolean;
  /** The keys that its clients have, if not all. */
  readonly namespace: string;
}

/** One that runs. */
export interface Proxied {
  readonly name: string;
  readonly proxy: RunningProxy;
  readonly doors: readonly Door[];
  /** What its clients would have directly. */
  readonly direct: Door;
  readonly namespace: string;
}

export class Place implements AsyncDisposable {
  readonly etcd: EtcdCluster;
  readonly kind: TokenKind;
  readonly proxies: readonly Proxied[];
  readonly auth: Client<typeof Auth>;
  /** The same through each proxy, which learns whose the tokens are that it hands out. */
  readonly #doors: readonly Client<typeof Auth>[];
  #signedIn = 0;
  readonly #kv: Client<typeof KV>;
  readonly #held: AsyncDisposableStack;

  private constructor(
    held: AsyncDisposableStack,
    etcd: EtcdCluster,
    kind: TokenKind,
    proxies: readonly Proxied[],
  ) {
    this.#held = held;
    this.etcd = etcd;
    this.kind = kind;
    this.proxies = proxies;
    const via = createGrpcTransport({ baseUrl: etcd.first.url });
    this.auth = createClient(Auth, via);
    this.#doors = proxies.map(({ proxy }) => createClient(Auth, createGrpcTransport({ baseUrl: proxy.url })));
    this.#kv = createClient(KV, via);
  }

  /** Starts all of it; auth is on. */
  static async start(install: EtcdInstall, kind: TokenKind, setups: readonly Setup[]): Promise<Place> {
    const held = new AsyncDisposableStack();
    try {
      const etcd = held.use(await startEtcd({ install, ...(await tokens(kind, 600)) }));
      const file = join(await tempDir('matrix'), 'user');
      await writeFile(file, `proxy:${PASSWORD}\n`, { mode: 0o600 });
      await prepare(createClient(Auth, createGrpcTransport({ baseUrl: etcd.first.url })));
      const direct = held.use(directDoor(etcd.first.address));
      const proxies = await Promise.all(
        setups.map(async ({ name, flags, own, namespace }) => {
          const all = own ? [...flags, `--user-file=${file}`] : flags;
          const proxy = held.use(await startProxy({ endpoints: etcd.endpoints, flags: all }));
          const doors = doorsOf(proxy.address).map((door) => held.use(door));
          return { name, proxy, doors, direct: insideDoor(direct, namespace), namespace };
        }),
      );
      return new Place(held, etcd, kind, proxies);
    } catch (error) {
      await held.disposeAsync();
      throw error;
    }
  }

  /** Somebody signs in, through each proxy in turn: so every token is known to one of them and to no other. */
  async as(name: string): Promise<Credentials> {
    const door = this.#doors[this.#signedIn++ % this.#doors.length] as Client<typeof Auth>;
    return { token: (await door.authenticate({ name, password: PASSWORD })).token };
  }

  /** A token that was good and is not any more. */
  expired(): Credentials {
    if (this.kind === 'simple') return { token: 'dLzYqMDAfLkPaRcV.9' };
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = { username: 'root', revision: 7, exp: Math.floor(Date.now() / 1000) - 60 };
    const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
    // The secret of `tokens`.
    const signature = createHmac('sha256', 'a secret for a test').update(signed).digest('base64url');
    return { token: `${signed}.${signature}` };
  }

  /** Does something as root, with a token of now. */
  async root<T>(what: (options: { readonly headers: Credentials }) => Promise<T>): Promise<T> {
    return what({ headers: await this.as('root') });
  }

  /** Writes directly, as root, in each namespace that there is. @returns the revisions, by namespace */
  async put(key: string, value: string): Promise<Readonly<Record<string, number>>> {
    const options = { headers: await this.as('root') };
    const revisions: Record<string, number> = {};
    for (const namespace of new Set(this.proxies.map((proxied) => proxied.namespace))) {
      const { header } = await this.#kv.put({ key: b(namespace + key), value: b(value) }, options);
      revisions[namespace] = Number(header?.revision);
    }
    return revisions;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#held.disposeAsync();
  }
}

/** Users, roles and permissions. */
export async function addUser(
  auth: Client<typeof Auth>,
  name: string,
  options: { readonly headers?: Credentials } = {},
): Promise<void> {
  await auth.userAdd({ name, password: PASSWORD }, options);
  await auth.userGrantRole({ user: name, role: name }, options);
}

async function prepare(auth: Client<typeof Auth>): Promise<void> {
  for (const [name, permType, prefix] of [...USERS, ['proxy', 0, '/a/'] as const]) {
    await auth.roleAdd({ name });
    if (permType !== undefined) {
      for (const start of [prefix, NAMESPACE + prefix]) {
        const perm = { permType, key: b(start), rangeEnd: b(`${start.slice(0, -1)}0`) };
        await auth.roleGrantPermission({ name, perm });
      }
    }
    await addUser(auth, name);
  }
  await auth.authEnable({});
}
