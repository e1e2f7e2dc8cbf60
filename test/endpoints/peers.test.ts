/** Members asked at their peer ports: those of a test's own, which answer well, badly, late and without end; and the file. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ClusterFile } from '../../src/endpoints/cluster-file.ts';
import { InitialCluster } from '../../src/endpoints/initial-cluster.ts';
import { type PeerSeeds, Peers } from '../../src/endpoints/peers.ts';
import { type Endpoint, parseEndpoint } from '../../src/net/endpoint.ts';
import { runProcess, tempDir } from '../support/process.ts';
import { until } from '../support/until.ts';
import { namesOf, Observed } from './observed.ts';

/** A member's peer port. What it answers may be changed. */
class Peer implements AsyncDisposable {
  readonly endpoint: Endpoint;
  asked = 0;
  #answer: RequestListener;
  readonly #server: Server;

  private constructor(server: Server, answer: RequestListener) {
    this.#server = server;
    this.#answer = answer;
    this.endpoint = parseEndpoint(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.unref();
    server.on('request', (request, response) => {
      this.asked++;
      this.#answer(request, response);
    });
  }

  static async open(answer: unknown = []): Promise<Peer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Peer(server, typeof answer === 'function' ? (answer as RequestListener) : tells(answer));
  }

  answers(answer: unknown): void {
    this.#answer = typeof answer === 'function' ? (answer as RequestListener) : tells(answer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const tells =
  (answer: unknown): RequestListener =>
  (request, response) => {
    response.statusCode = request.url === '/members' ? 200 : 404;
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
  };

/** The same as a member of a cluster with this id. */
const tellsAs =
  (cluster: string, answer: unknown): RequestListener =>
  (request, response) => {
    response.setHeader('X-Etcd-Cluster-ID', cluster);
    tells(answer)(request, response);
  };

const member = (clientURLs: readonly string[], more: object = {}) => ({
  id: 9372538179322589801n.toString(),
  name: 'm',
  peerURLs: [],
  clientURLs,
  ...more,
});

const tls = { connect: (): never => assert.fail('no TLS here') };

async function look(seeds: readonly Peer[] | PeerSeeds, folder?: string) {
  const observer = new Observed();
  const isList = Array.isArray(seeds);
  const list = isList ? new InitialCluster(seeds.map(({ endpoint }) => endpoint)) : (seeds as PeerSeeds);
  const data = folder ?? (await tempDir('peers'));
  const file = new ClusterFile(data, 'these seeds', (cause) => observer.onNotKept(cause));
  const peers = new Peers({ seeds: list, file, interval: 20, tls, observer });
  peers.start(() => {});
  const sees = (...names: string[]) =>
    until(
      () => `${namesOf(peers.endpoints)} is ${names}, ${observer.failures.at(-1)}`,
      () => namesOf(peers.endpoints).join() === names.join(),
    );
  return { peers, observer, sees, data, [Symbol.dispose]: () => peers.close() };
}

describe('members at their peer ports', () => {
  test('tell of all that vote, and are followed when all of them are replaced', async () => {
    await using first = await Peer.open();
    await using second = await Peer.open();
    first.answers([
      member(['http://a:1', 'http://b:2']),
      member(['http://user:secret@c:3/x'], { peerURLs: [second.endpoint.name] }),
      member(['http://learner:1'], { isLearner: true }),
      member([], { name: '' }),
      null,
      { clientURLs: 'http://no.list:1' },
      member([7 as unknown as string, 'no url', 'bare:1', 'http://c:3', 'HTTPS://[::1]:4/']),
      member(['http://[fe80::1%25eth0]:5']),
      member([
        'unix:///var/run/a',
        'http://:2379',
        'http://a\nb:1',
        'http://é:1',
        `http://${'h'.repeat(2000)}:1`,
      ]),
    ]);
    using looking = await look([first]);
    await looking.sees(
      ...['http://[fe80::1%25eth0]:5', 'http://a:1', 'http://b:2', 'http://c:3', 'http://c:3'],
      'https://[::1]:4',
    );
    // In the form that a URL has, and etcd's own proxy reads.
    const file = join(looking.data, 'proxy', 'cluster');
    const kept = (name: string): string[] => JSON.parse(readFileSync(file, 'utf8'))[name];
    await until('the list is kept', () => existsSync(file));
    assert.ok(kept('ClientURLs').includes('http://[fe80::1%25eth0]:5'));
    const asked = second.asked;
    second.answers([member(['http://d:4'], { peerURLs: [second.endpoint.name] })]);
    await first[Symbol.asyncDispose]();
    await looking.sees('http://d:4');
    assert.ok(second.asked > asked);
    assert.deepEqual(kept('PeerURLs'), [second.endpoint.name]);
  });

  test('whatever else they answer changes nothing, and names a cause', async () => {
    await using peer = await Peer.open([member(['http://a:1'])]);
    using looking = await look([peer]);
    await looking.sees('http://a:1');
    const answers: readonly [unknown, RegExp][] = [
      [[], /no member has a URL/],
      [[member([])], /no member has a URL/],
      [{ a: 1 }, /is no list of members/],
      ['<html>', /is no JSON/],
      ['null', /is no list of members/],
      [`[${'1,'.repeat(1 << 20)}1]`, /more than 1048576 bytes/],
      [tells(7).bind(undefined), /is no list/],
      [
        (_: unknown, response: { writeHead(code: number): { end(): void } }) => response.writeHead(500).end(),
        /status 500/,
      ],
      [
        (_: unknown, response: { writeHead(code: number, fields: object): { end(): void } }) =>
          response.writeHead(302, { location: 'http://127.0.0.1:1/members' }).end(),
        /status 302/,
      ],
      [(request: { destroy(): void }) => request.destroy(), /ECONNRESET/],
      [
        ({ socket }: { readonly socket: { write(text: string): void } }) =>
          socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'),
        /closed without an answer/,
      ],
    ];
    for (const [answer, cause] of answers) {
      peer.answers(answer);
      const { length } = looking.observer.failures;
      await until(
        () => `${cause}: ${looking.observer.failures.at(-1)}`,
        () => looking.observer.failures.slice(length + 1).some((each) => cause.test(each)),
      );
      assert.deepEqual(namesOf(looking.peers.endpoints), ['http://a:1']);
    }
    peer.answers([member(['http://b:1'])]);
    await looking.sees('http://b:1');
  });

  test('the first of several counts, however long others take; one that never ends is given up', async () => {
    await using silent = await Peer.open(() => {});
    await using endless = await Peer.open((_: unknown, response: { write(text: string): void }) => {
      response.write('[');
    });
    await using good = await Peer.open([member(['http://a:1'])]);
    using looking = await look([silent, endless, good]);
    await looking.sees('http://a:1');
    await good[Symbol.asyncDispose]();
    await until('it fails', () => looking.observer.failures.some((each) => /no answer in time/.test(each)));
    assert.deepEqual(namesOf(looking.peers.endpoints), ['http://a:1']);
  });
});

describe('a member that was set up anew, as a cluster of its own', () => {
  test('says nothing of the cluster that is meant, though it is the only one to answer', async () => {
    await using first = await Peer.open();
    await using second = await Peer.open();
    await using astray = await Peer.open();
    const peerURLs = [first, second, astray].map(({ endpoint }) => endpoint.name);
    const all = [member(['http://a:1'], { peerURLs })];
    for (const peer of [first, second, astray]) peer.answers(tellsAs('one', all));
    using looking = await look([first, second, astray]);
    await looking.sees('http://a:1');
    astray.answers(tellsAs('other', [member(['http://c:1'], { peerURLs: [astray.endpoint.name] })]));
    first.answers(tells(7));
    second.answers(tells(7));
    const { length } = looking.observer.failures;
    await until('looks fail', () => looking.observer.failures.length > length + 2);
    assert.deepEqual(namesOf(looking.peers.endpoints), ['http://a:1']);
    first.answers(tellsAs('one', [member(['http://b:1'], { peerURLs })]));
    await looking.sees('http://b:1');
  });

  test('is followed where most of them were', async () => {
    await using first = await Peer.open();
    await using second = await Peer.open();
    const peerURLs = [first, second].map(({ endpoint }) => endpoint.name);
    for (const peer of [first, second]) peer.answers(tellsAs('one', [member(['http://a:1'], { peerURLs })]));
    using looking = await look([first, second]);
    await looking.sees('http://a:1');
    for (const peer of [first, second])
      peer.answers(tellsAs('other', [member(['http://c:1'], { peerURLs })]));
    await looking.sees('http://c:1');
  });
});

describe('the last good list', () => {
  test('is there at the next start, also without anybody who answers', async () => {
    const peer = await Peer.open();
    peer.answers([member(['http://a:1'], { peerURLs: [peer.endpoint.name] })]);
    let folder: string;
    {
      using looking = await look([peer]);
      await looking.sees('http://a:1');
      folder = looking.data;
      await until('it is kept', () => existsSync(join(folder, 'proxy/cluster')));
    }
    await peer[Symbol.asyncDispose]();
    using again = await look([peer], folder);
    assert.deepEqual(namesOf(again.peers.endpoints), ['http://a:1']);
    await until('it has looked', () => again.observer.failures.length > 0);
    assert.deepEqual(namesOf(again.peers.endpoints), ['http://a:1']);
  });

  test("of etcd's own proxy is read, and discovery is not asked while a member of it answers", async () => {
    await using peer = await Peer.open([member(['http://a:1'])]);
    const folder = await tempDir('peers');
    mkdirSync(join(folder, 'proxy'));
    writeFileSync(join(folder, 'proxy/cluster'), JSON.stringify({ PeerURLs: [peer.endpoint.name] }));
    let sought = 0;
    const seeds: PeerSeeds = { name: 'discovery', start: () => sought++, close: () => {} };
    using looking = await look(seeds, folder);
    await looking.sees('http://a:1');
    assert.equal(sought, 0);
    await peer[Symbol.asyncDispose]();
    await until('discovery is asked', () => sought === 1);
  });

  test('of other seeds is not used, nor one that cannot be read', async () => {
    for (const [text, warned] of [
      [
        JSON.stringify({ PeerURLs: ['http://127.0.0.1:1'], ClientURLs: ['http://x:1'], From: 'others' }),
        false,
      ],
      ['{"PeerURLs":', true],
      ['null', false],
      ['{}', false],
      [`"${'x'.repeat(1 << 20)}"`, true],
    ] as const) {
      await using peer = await Peer.open([member(['http://a:1'])]);
      const folder = await tempDir('peers');
      mkdirSync(join(folder, 'proxy'));
      writeFileSync(join(folder, 'proxy/cluster'), text);
      using looking = await look([peer], folder);
      assert.deepEqual(looking.peers.endpoints, []);
      assert.equal(looking.observer.notKept.length > 0, warned, text.slice(0, 50));
      await looking.sees('http://a:1');
    }
  });

  test('that is no file is not waited for, nor read without end', async () => {
    for (const make of [
      (path: string) => execFileSync('mkfifo', [path]),
      (path: string) => symlinkSync('/dev/zero', path),
      (path: string) => mkdirSync(path),
    ]) {
      const folder = await tempDir('peers');
      mkdirSync(join(folder, 'proxy'));
      make(join(folder, 'proxy/cluster'));
      // In a process of its own: a read that waits lets nobody end it in this one.
      const reads = `
        import { ClusterFile } from ${JSON.stringify(new URL('../../src/endpoints/cluster-file.ts', import.meta.url).href)};
        new ClusterFile(${JSON.stringify(folder)}, 'seeds', console.log).read();`;
      const args = ['--input-type=module', '--eval', reads];
      const { stdout } = await runProcess(process.execPath, args, { limitMs: 60_000 });
      assert.match(stdout, /^cannot read .*: it is no file$/m);
    }
  });

  test('that cannot be written is a warning, and nothing else', async () => {
    await using peer = await Peer.open([member(['http://a:1'])]);
    const folder = await tempDir('peers');
    writeFileSync(join(folder, 'proxy'), 'a file where the folder should be');
    chmodSync(folder, 0o500);
    using looking = await look([peer], folder);
    await looking.sees('http://a:1');
    await until('it warns', () => looking.observer.notKept.some((cause) => /^cannot write /.test(cause)));
    peer.answers([member(['http://b:1'])]);
    await looking.sees('http://b:1');
  });
});
