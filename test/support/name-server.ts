/** A small name server on loopback that answers questions for SRV records, as a test says and changes. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';

/** The records of a name, or what goes wrong: no such name, a server that fails, or one that says nothing. */
export type Answer = readonly SrvTarget[] | 'nxdomain' | 'servfail' | 'silent';

/** Where a service is. */
export interface SrvTarget {
  readonly host: string;
  readonly port: number;
}

const SRV = 33;
const RCODE = { nxdomain: 3, servfail: 2 } as const;

/** The preload that has a program ask this server: `node --import`, with the address in `TEST_NAME_SERVER`. */
export const NAME_SERVER_PRELOAD = new URL('name-server-preload.mjs', import.meta.url).href;

export class NameServer implements AsyncDisposable {
  /** By name, in lower case; others do not exist. */
  readonly answers = new Map<string, Answer>();
  /** Every question so far. */
  readonly asked: string[] = [];
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (question, from) => this.#answer(question, from));
  }

  static async open(): Promise<NameServer> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    return new NameServer(socket);
  }

  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(resolve));
  }

  #answer(question: Buffer, { port, address }: RemoteInfo): void {
    const { name, end } = nameAt(question, 12);
    this.asked.push(name);
    const answer = this.answers.get(name) ?? 'nxdomain';
    if (answer === 'silent') return;
    const records = typeof answer === 'string' ? [] : answer;
    const head = Buffer.alloc(12);
    question.copy(head, 0, 0, 2);
    head.writeUInt16BE(0x8580 | (typeof answer === 'string' ? RCODE[answer] : 0), 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(records.length, 6);
    const asked = question.subarray(12, end + 4);
    this.#socket.send(Buffer.concat([head, asked, ...records.map(recordOf)]), port, address);
  }
}

function nameAt(message: Buffer, start: number): { readonly name: string; readonly end: number } {
  const labels: string[] = [];
  let at = start;
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 };
}

/** A record of the name in the question. */
function recordOf({ host, port }: SrvTarget): Buffer {
  const labels = host.split('.').filter((label) => label !== '');
  const target = Buffer.concat([
    ...labels.map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
    Buffer.of(0),
  ]);
  const head = Buffer.alloc(18);
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(SRV, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(5, 6); // seconds that it may be remembered
  head.writeUInt16BE(6 + target.length, 10);
  head.writeUInt16BE(port, 16);
  return Buffer.concat([head, target]);
}
