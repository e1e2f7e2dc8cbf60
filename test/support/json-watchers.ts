/** Many watches of etcd's JSON over HTTP/1.1 and TLS with a token, each on a connection of its own, as APISIX has them. */
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';

/** Where they go. */
export interface JsonTarget {
  readonly url: string;
  /** The certificate of the authority that signed the server's. */
  readonly ca: string;
}

/** Sends a request of etcd's JSON, and gives the answer. @throws Error (rejects) after so many milliseconds */
export function askJson(
  { url, ca }: JsonTarget,
  path: string,
  body: object,
  { token = '', limitMs = 30_000, agent }: { token?: string; limitMs?: number; agent?: Agent } = {},
): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const headers = token === '' ? {} : { authorization: token };
    const sent = request(`${url}/v3/${path}`, { method: 'POST', ca, headers, agent: agent ?? false });
    const timer = setTimeout(() => sent.destroy(new Error(`no answer in ${limitMs} ms`)), limitMs);
    sent.on('error', reject).on('close', () => clearTimeout(timer));
    sent.on('response', (response: IncomingMessage) => {
      let text = '';
      response.on('data', (part: Buffer) => {
        text += part.toString();
      });
      response.on('error', reject).on('end', () => {
        if (response.statusCode === 200) resolve(JSON.parse(text) as Record<string, unknown>);
        else reject(new Error(`${path}: ${response.statusCode} ${text}`));
      });
    });
    sent.end(JSON.stringify(body));
  });
}

/** Switches auth on, with a user `root` and password `secret`. */
export async function enableAuth(target: JsonTarget): Promise<void> {
  await askJson(target, 'auth/user/add', { name: 'root', password: 'secret' });
  await askJson(target, 'auth/user/grant', { user: 'root', role: 'root' });
  await askJson(target, 'auth/enable', {});
}

/** A token of that user. */
export async function rootToken(target: JsonTarget): Promise<string> {
  const { token } = await askJson(target, 'auth/authenticate', { name: 'root', password: 'secret' });
  return String(token);
}

/** Watches on one prefix. */
export class JsonWatchers implements Disposable {
  readonly #agent = new Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY });
  /** Those that were created. */
  created = 0;
  /** Events that all of them have had together. */
  events = 0;
  /** Those that ended or failed. */
  ended = 0;

  /** Opens one. */
  open({ url, ca }: JsonTarget, token: string, prefix: string): void {
    const headers = { authorization: token };
    const sent = request(`${url}/v3/watch`, { method: 'POST', ca, headers, agent: this.#agent });
    const end = (): void => {
      this.ended++;
    };
    sent.on('error', end);
    sent.on('response', (response) => {
      let rest = '';
      response.on('data', (part: Buffer) => {
        const lines = (rest + part.toString()).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) this.#onLine(line);
      });
      response.on('error', end).on('end', end);
    });
    const b64 = (text: string): string => Buffer.from(text).toString('base64');
    sent.end(JSON.stringify({ create_request: { key: b64(prefix), range_end: b64(`${prefix}\xff`) } }));
  }

  #onLine(line: string): void {
    const { result } = JSON.parse(line) as { result?: { created?: boolean; events?: readonly unknown[] } };
    if (result?.created === true) this.created++;
    this.events += result?.events?.length ?? 0;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}
