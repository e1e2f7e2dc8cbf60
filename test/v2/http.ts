/** HTTP/1.1 requests of tests, each on a connection of its own, with all that comes back as it was written. */
import { type ClientRequest, type IncomingMessage, request } from 'node:http';

/** A request. */
export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** A whole answer. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

/** Sends a request; the answer has begun when it settles. */
export function begin(
  url: string,
  asked: Asked = {},
): Promise<{ sent: ClientRequest; answer: IncomingMessage }> {
  const { method = 'GET', headers = {}, body } = asked;
  return new Promise((resolve, reject) => {
    // Node.js says no length of its own where a method has no body as a rule.
    const length = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) };
    const sent = request(url, { method, headers: { ...length, ...headers }, agent: false });
    sent.on('response', (answer) => resolve({ sent, answer }));
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Sends a request and reads its answer. Fails where that breaks off. */
export async function ask(url: string, asked: Asked = {}): Promise<Answer> {
  const { answer } = await begin(url, asked);
  const parts: Buffer[] = [];
  for await (const part of answer) parts.push(part as Buffer);
  return { status: answer.statusCode ?? 0, headers: answer.headers, text: Buffer.concat(parts).toString() };
}
