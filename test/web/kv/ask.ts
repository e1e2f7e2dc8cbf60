/** Requests for keys, with paths as they are written: a library would resolve dots. */
import {
  type ClientRequest,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
} from 'node:http';
import { until } from '../../support/until.ts';

/** What is asked. */
export interface Asked {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** What comes back. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
}

/** Sends one. */
export function ask(base: string, { method = 'GET', path, headers = {}, body }: Asked): Promise<Answer> {
  const { hostname, port } = new URL(base);
  return new Promise((resolve, reject) => {
    const request = httpRequest({ hostname, port, method, path, headers });
    request.on('error', reject);
    request.on('response', (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => {
        const bytes = Buffer.concat(parts);
        const { statusCode: status = 0, headers } = response;
        resolve({ status, headers, bytes, text: bytes.toString() });
      });
    });
    request.end(body);
  });
}

/** Each byte of a key as it may stand in a path. */
export function everyByte(key: Uint8Array): string {
  return [...key].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
}

/** An event as it came. */
export interface Event {
  readonly name: string;
  /** Undefined: it had none. */
  readonly id: string | undefined;
  readonly data: Readonly<Record<string, string>>;
}

/** A stream of events, and what a browser would know of it. */
export class EventStream {
  readonly request: ClientRequest;
  response: IncomingMessage | undefined;
  readonly events: Event[] = [];
  /** What a client sends when it comes back. */
  lastId = '';
  comments = 0;
  ended = false;
  text = '';
  #rest = '';

  constructor(base: string, path: string, headers: Readonly<Record<string, string>> = {}) {
    const { hostname, port } = new URL(base);
    this.request = httpRequest({ hostname, port, path, headers, agent: false });
    this.request.on('error', () => {});
    this.request.on('response', (response) => {
      this.response = response;
      response.setEncoding('utf8');
      response.on('data', (part: string) => this.#read(part));
      response.on('end', () => {
        this.ended = true;
      });
      response.on('error', () => {});
    });
    this.request.end();
  }

  /** Settles when the stream has begun. */
  async begun(): Promise<this> {
    await until(
      'the beginning',
      () => this.response !== undefined && (this.lastId !== '' || this.events.length > 0),
    );
    return this;
  }

  async atLeast(count: number): Promise<readonly Event[]> {
    await until(`${count} events, there are ${this.events.length}`, () => this.events.length >= count);
    return this.events;
  }

  close(): void {
    this.request.destroy();
  }

  #read(part: string): void {
    this.text += part;
    this.#rest += part;
    const blocks = this.#rest.split('\n\n');
    this.#rest = blocks.pop() ?? '';
    for (const block of blocks) this.#take(block.split('\n'));
  }

  #take(lines: readonly string[]): void {
    const field = (name: string): string | undefined =>
      lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    if (lines.includes(':')) this.comments++;
    const id = field('id');
    if (id !== undefined) this.lastId = id;
    const data = field('data');
    if (data === undefined) return;
    this.events.push({ name: field('event') ?? '', id, data: JSON.parse(data) as Event['data'] });
  }
}
