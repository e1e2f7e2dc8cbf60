/** One GET over HTTP/1.1 with bounds, for what is asked of etcd's peer ports and of discovery services. */
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Endpoint } from '../net/endpoint.ts';
import type { TlsDialer } from '../upstream/dial.ts';
import { causeOf, LookFailure } from './found-endpoints.ts';

/** What to get. */
export interface GetTarget {
  readonly endpoint: Endpoint;
  /** With its query. */
  readonly path: string;
  /** The value of the header field, where the URL has a user. */
  readonly authorization?: string | undefined;
}

/** How to get it. */
export interface GetOptions {
  readonly tls: TlsDialer;
  readonly maxBytes: number;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** What came: the answer is never followed to another place. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** @throws LookFailure that names the endpoint, and neither path nor user */
export async function httpGet(page: GetTarget, options: GetOptions): Promise<HttpAnswer> {
  try {
    const response = await responseOf(page, options);
    const body = await bodyOf(response, options.maxBytes);
    return { status: response.statusCode ?? 0, headers: response.headers, body };
  } catch (error) {
    const reason: unknown = options.signal.aborted ? options.signal.reason : error;
    const late = reason instanceof DOMException && reason.name === 'TimeoutError';
    throw new LookFailure(`${page.endpoint.name}: ${late ? 'no answer in time' : causeOf(error)}`);
  }
}

function responseOf(page: GetTarget, { tls, signal }: GetOptions): Promise<IncomingMessage> {
  const { endpoint, path, authorization } = page;
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      createConnection: () => open(endpoint, tls),
      path,
      setHost: false,
      signal,
      headers: {
        host: endpoint.authority,
        'accept-encoding': 'identity',
        ...(authorization === undefined ? {} : { authorization }),
      },
    });
    request.once('response', resolve);
    request.on('error', reject);
    // Without any other word where the other side goes on in another protocol (status 101).
    request.once('close', () => reject(new LookFailure('closed without an answer')));
    request.end();
  });
}

async function bodyOf(response: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    // Leaving the loop destroys the response and its connection.
    if (size > maxBytes) throw new LookFailure(`an answer of more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

function open({ secure, target, serverName }: Endpoint, tls: TlsDialer): Socket {
  return secure ? tls.connect(target, serverName, 'http/1.1') : connect({ ...target, noDelay: true });
}

/** The JSON in an answer that should have some. @throws LookFailure */
export function jsonOf({ body }: HttpAnswer, { endpoint }: GetTarget): unknown {
  try {
    return JSON.parse(body.toString());
  } catch (error) {
    if (error instanceof SyntaxError) throw new LookFailure(`${endpoint.name}: the answer is no JSON`);
    throw error;
  }
}
