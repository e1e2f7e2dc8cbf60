/** Members of etcd that a test makes up, and a door that forwards `/v2` to them. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { after } from 'node:test';
import type { V2Member, V2Options } from '../../src/web/v2/options.ts';
import { Door } from '../web/support.ts';

/** Times that do not end while a test runs. */
export const TIMES = {
  failureWait: 60_000,
  refreshInterval: 60_000,
  dialTimeout: 5000,
  writeTimeout: 0,
  readTimeout: 0,
};
export const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

const servers: Server[] = [];
after(() => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
});

/** A member, and the requests that it got. */
export class FakeMember implements V2Member {
  readonly url: string;
  readonly server: Server;
  readonly got: { head: string; fields: readonly string[]; body: string }[] = [];

  private constructor(server: Server) {
    this.server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(
    listener: (member: FakeMember, ...args: Parameters<RequestListener>) => void,
  ): Promise<FakeMember> {
    const server = createServer((request, response) => listener(member, request, response));
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const member = new FakeMember(server);
    return member;
  }

  /** One that takes requests whole, and answers. */
  static willing(): Promise<FakeMember> {
    return FakeMember.start(async (member, request, response) => {
      await member.read(request);
      response.writeHead(200, { 'X-Etcd-Index': '7', 'Access-Control-Allow-Origin': '*' }).end('done');
    });
  }

  /** One that is not there. */
  static async gone(): Promise<FakeMember> {
    const member = await FakeMember.willing();
    await new Promise((closed) => member.server.close(closed));
    return member;
  }

  readonly connect = () => connect({ port: Number(new URL(this.url).port), host: '127.0.0.1' });

  async read(request: IncomingMessage): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = Buffer.concat(parts).toString();
    this.got.push({ head: `${request.method} ${request.url}`, fields: request.rawHeaders, body });
  }
}

/** What was dropped and handled. */
class Counts {
  readonly lines: string[] = [];
  onRequest(method: string): void {
    this.lines.push(`request ${method}`);
  }
  onHandled(method: string, status: number): void {
    this.lines.push(`handled ${method} ${status}`);
  }
  onDropped(method: string, why: string): void {
    this.lines.push(`dropped ${method} ${why}`);
  }
}

/** A door with these members behind `/v2`. */
export async function open(members: readonly V2Member[], options: Partial<V2Options> = {}) {
  const counts = new Counts();
  const v2: V2Options = {
    readOnly: false,
    shuffled: false,
    members: () => members,
    times: TIMES,
    observer: counts,
    ...options,
  };
  const door = await Door.open({}, { v2 });
  return { door, counts, [Symbol.asyncDispose]: () => door[Symbol.asyncDispose]() };
}
