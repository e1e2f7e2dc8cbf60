/**
 * Large requests are read on another thread. Connect gets an empty message in their place, in the form in which the client
 * sent it, and the service gets what was read. What is wrong with a body beside its size is left to Connect, which gets
 * the bytes as they came, and unpacks and reads no more of them than is in a small one, whatever they say of themselves.
 */
import { gzipSync } from 'node:zlib';
import { Code, RpcError, TOO_MUCH_HELD } from '../../rpc/status.ts';
import { announced, TOO_LARGE, type Unpacked, unpackLine } from '../../rpc/unpack.ts';
import { GrownBytes } from '../grown-bytes.ts';
import type { MessageDecoder } from '../message-decoder.ts';
import { clientGone } from '../request-body.ts';
import type { WebRequest } from '../request-memory.ts';
import type { ConnectCall } from './request-gate.ts';

/** Requests up to this size are left to Connect, which is told to read no larger ones. Bytes, unpacked. */
export const LARGE_REQUEST_BYTES = 256 << 10;

const HEAD_BYTES = 5;

/** How the client sent its message. */
interface Form {
  readonly json: boolean;
  /** The message has its length in front, and a flag that says whether it is packed. */
  readonly enveloped: boolean;
  /** Packed, as far as the flag does not say otherwise. */
  readonly gzip: boolean;
}

/** What reads a large request, and within which bounds. */
export interface LargeRequestOptions {
  readonly connectCall: ConnectCall;
  readonly decoder: MessageDecoder;
  /** The limit of bodies, packed and unpacked. Bytes. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
  /** Where it is counted what the request holds. */
  readonly held: WebRequest | undefined;
}

/** The body that Connect gets; changes the headers that would say something else of it. */
export function bodyForConnect(
  body: AsyncIterable<Uint8Array>,
  headers: Headers,
  options: LargeRequestOptions,
): AsyncIterable<Uint8Array> {
  const type = headers.get('content-type') ?? '';
  const enveloped = !/^application\/(?:json|proto)\b/i.test(type);
  const encoding = headers.get(encodingName(type, enveloped));
  const form = { json: /\bjson\b/i.test(type), enveloped, gzip: encoding === 'gzip' };
  const length = headers.get('content-length');
  if (length !== null && Number(length) <= LARGE_REQUEST_BYTES && !form.gzip) return body;
  // Connect would take memory for all of it before it comes, or refuse it.
  headers.delete('content-length');
  return exchanged(body, form, Number(length ?? Number.NaN), options);
}

function encodingName(type: string, enveloped: boolean): string {
  if (!enveloped) return 'content-encoding';
  return /^application\/connect\+/i.test(type) ? 'connect-content-encoding' : 'grpc-encoding';
}

async function* exchanged(
  body: AsyncIterable<Uint8Array>,
  form: Form,
  promised: number,
  options: LargeRequestOptions,
): AsyncGenerator<Uint8Array> {
  const most = options.maxBytes + (form.enveloped ? HEAD_BYTES : 0);
  if (promised > most) throw tooLarge(options);
  const grown = new GrownBytes();
  for await (const chunk of body) {
    grown.append(chunk);
    if (grown.length > most) throw tooLarge(options);
  }
  // A copy that owns its memory, so that it can go to another thread.
  const whole = new Uint8Array(grown.take());
  // A body that is not as long as promised is Connect's to refuse, which the promise was taken from.
  const kept = Number.isNaN(promised) || promised === whole.length;
  const message = kept ? await largeMessage(whole, form, options) : undefined;
  if (message === undefined) {
    yield whole;
    return;
  }
  const { connectCall, decoder, signal } = options;
  const { outlet, method } = connectCall.call;
  const question = { path: method.path, form: form.json ? 'json' : 'proto', bytes: message } as const;
  connectCall.largeRequest = await decoder.decode(outlet, question, signal);
  yield placeholder(form);
}

/** The message of a body, if it is a large one and nothing is wrong with it. */
async function largeMessage(
  whole: Uint8Array<ArrayBuffer>,
  { enveloped, gzip }: Form,
  options: LargeRequestOptions,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  let message = whole;
  let packed = gzip;
  if (enveloped) {
    const head = Buffer.from(whole.buffer, 0, Math.min(HEAD_BYTES, whole.length));
    if (whole.length < HEAD_BYTES || head.readUInt32BE(1) !== whole.length - HEAD_BYTES) {
      return undefined;
    }
    if ((head[0] as number) > 1 || (head[0] === 1 && !gzip)) return undefined;
    packed = head[0] === 1;
    message = whole.slice(HEAD_BYTES);
  }
  if (packed) {
    const unpacked = await unpack(Buffer.from(message.buffer), options);
    if (unpacked === TOO_LARGE) throw tooLarge(options);
    if (!(unpacked instanceof Buffer)) throw new RpcError(Code.INVALID_ARGUMENT, 'decompression failed');
    message = new Uint8Array(unpacked);
  }
  return message.length > LARGE_REQUEST_BYTES ? message : undefined;
}

/** Waits until there is memory for so many bytes. @throws RpcError when there is not */
async function count(bytes: number, { held, maxBytes }: LargeRequestOptions): Promise<void> {
  if (held === undefined) return;
  held.complete = false;
  held.onUnpacked(Math.min(bytes, maxBytes));
  await held.room;
  held.complete = true;
  if (held.refused) throw new RpcError(Code.RESOURCE_EXHAUSTED, TOO_MUCH_HELD);
}

/** Unpacks in turn with others; when the client has gone meanwhile, nothing comes of it. */
async function unpack(packed: Buffer, options: LargeRequestOptions): Promise<Unpacked> {
  await count(announced(packed), options);
  const unpacked = await unpackInTurn(packed, options);
  if (unpacked instanceof Buffer) await count(unpacked.length, options);
  return unpacked;
}

function unpackInTurn(
  packed: Buffer,
  { connectCall, maxBytes, signal }: LargeRequestOptions,
): Promise<Unpacked> {
  return new Promise((resolve, reject) => {
    const drop = unpackLine.unpack(connectCall.call.outlet, packed, maxBytes, resolve);
    const gone = (): void => {
      drop();
      reject(clientGone());
    };
    if (signal.aborted) gone();
    else signal.addEventListener('abort', gone, { once: true });
  });
}

function tooLarge({ maxBytes }: LargeRequestOptions): RpcError {
  return new RpcError(Code.RESOURCE_EXHAUSTED, `the message is larger than ${maxBytes} bytes`);
}

/** An empty message. */
function placeholder({ json, enveloped, gzip }: Form): Uint8Array {
  const empty = Buffer.from(json ? '{}' : '');
  if (enveloped) return Buffer.concat([Buffer.of(0, 0, 0, 0, empty.length), empty]);
  return gzip ? gzipSync(empty) : empty;
}
