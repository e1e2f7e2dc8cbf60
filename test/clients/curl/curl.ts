/** curl as a client of the proxy: runs it, and reads what it printed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { type RunningProcess, runProcess, startProcess } from '../../support/process.ts';

/** Any JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

/** The HTTP versions that the proxy serves on its one port. */
export type HttpVersion = '1.1' | '2';
export const HTTP_VERSIONS: readonly HttpVersion[] = ['1.1', '2'];

/** Why tests with curl are skipped; false where they run. */
export const noCurl: string | false = missingCurl();

function missingCurl(): string | false {
  const { error, stdout } = spawnSync('curl', ['--version'], { encoding: 'utf8' });
  if (error !== undefined) return 'there is no curl on PATH';
  return !stdout.includes('HTTP2') && 'the curl on PATH was built without HTTP/2';
}

export interface CurlRequest {
  readonly version: HttpVersion;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** More options; without any, curl sends a body at once, however long it is. */
  readonly options?: readonly string[];
}

export interface CurlResponse {
  /** As curl prints it: `1.1` or `2`. */
  readonly version: string;
  readonly status: number;
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  /** The body with a character for each byte. */
  readonly bytes: string;
}

function argsFor(url: string, { version, method, headers, body, options }: CurlRequest): string[] {
  return [
    '--silent',
    '--show-error',
    '--no-buffer',
    version === '2' ? '--http2-prior-knowledge' : '--http1.1',
    ...(method === undefined ? [] : ['--request', method]),
    ...Object.entries(headers ?? {}).flatMap(([name, value]) => ['--header', `${name}: ${value}`]),
    ...(body === undefined ? [] : ['--data-binary', '@-']),
    ...(options ?? ['--header', 'expect:']),
    url,
  ];
}

/** Runs curl to the end of the response. */
export async function curl(url: string, request: CurlRequest): Promise<CurlResponse> {
  const input = request.body === undefined ? {} : { input: request.body };
  const args = ['--include', '--max-time', '60', ...argsFor(url, request)];
  const done = await runProcess('curl', args, { ...input, encoding: 'latin1', limitMs: 90_000 });
  assert.equal(done.code, 0, `curl ${url}: ${done.stderr}`);
  return readResponse(done.stdout);
}

function readResponse(printed: string): CurlResponse {
  const text = printed.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '');
  const end = text.indexOf('\r\n\r\n');
  const [head = '', ...lines] = text.slice(0, end).split('\r\n');
  const [, version, status] = /^HTTP\/([\d.]+) (\d+)/.exec(head) ?? [];
  assert.ok(version && status, `no HTTP response: ${text.slice(0, 200)}`);
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  const bytes = text.slice(end + 4);
  const body = Buffer.from(bytes, 'latin1').toString();
  return { version, status: Number(status), headers, body, bytes };
}

/** Starts a curl whose response goes on; the request body is complete. */
export async function startCurl(url: string, request: CurlRequest): Promise<RunningProcess> {
  const running = await startProcess('curl', argsFor(url, request), { encoding: 'latin1' });
  running.write(request.body ?? '');
  running.endInput();
  return running;
}

/** A Connect message on a stream: a byte of flags, four bytes of length, and the JSON. */
export function envelope(message: Json): string {
  const json = JSON.stringify(message);
  assert.ok(json.length < 128, 'a longer one is no ASCII');
  return `\0\0\0\0${String.fromCharCode(json.length)}${json}`;
}

/** A message on a stream; flag 2 is on the last one, which tells how the stream ended. */
export interface Envelope {
  readonly flags: number;
  readonly message: Json & { readonly error?: { readonly code: string; readonly message: string } };
}

/** The complete messages at the beginning of a stream, whose bytes are the characters of the text. */
export function envelopes(text: string): Envelope[] {
  const bytes = Buffer.from(text, 'latin1');
  const found: Envelope[] = [];
  for (let at = 0; at + 5 <= bytes.length; ) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    if (end > bytes.length) break;
    const message = JSON.parse(bytes.toString('utf8', at + 5, end)) as Envelope['message'];
    found.push({ flags: bytes.readUInt8(at), message });
    at = end;
  }
  return found;
}

/** A unary Connect call with JSON. */
export async function call(
  base: string,
  version: HttpVersion,
  method: string,
  message: Json,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number; readonly json: { readonly [name: string]: Json } }> {
  const response = await curl(`${base}/${method}`, {
    version,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(message),
  });
  assert.equal(response.version, version);
  assert.equal(response.headers.get('content-type'), 'application/json', response.body);
  return { status: response.status, json: JSON.parse(response.body) as { readonly [name: string]: Json } };
}

/** Keys and values travel as base64 in JSON. */
export const base64 = (text: string): string => Buffer.from(text).toString('base64');
