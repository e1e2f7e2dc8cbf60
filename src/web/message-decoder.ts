/**
 * Reads large requests on another thread: a body of a few MB may be of millions of objects, for which a turn of the event
 * loop is too short and the memory of the process too small. What takes too much memory ends that thread and nothing else.
 */
import { Worker } from 'node:worker_threads';
import { ClientTurns } from '../rpc/client-turns.ts';
import { Code, RpcError } from '../rpc/status.ts';
import { DECODE_PROGRAM } from './decode-program.ts';
import { clientGone } from './request-body.ts';

/** Memory for the objects of one request, in MiB. */
const MAX_HEAP_MIB = 512;
/** How long one request may take, in milliseconds: far more than any that etcd would take. */
const MAX_MS = 30_000;
/** How long the thread is kept without work, in milliseconds. */
const IDLE_MS = 30_000;

/** Encoded, in the JSON of protobuf, or in that of etcd's gateway. */
export type MessageForm = 'proto' | 'json' | 'etcd-json';

/** A message to be read. */
export interface DecodeQuestion {
  readonly path: string;
  readonly form: MessageForm;
  /** Goes over to the other thread. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Its protobuf form, or what is wrong with it. */
export type DecodeAnswer =
  | { readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly error: string }
  /** It is of more parts than are read. */
  | { readonly tooMany: true };

const TOO_MUCH = 'the request takes too much memory to be read';

interface Job {
  readonly question: DecodeQuestion;
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: RpcError) => void;
}

/** Begins the thread that reads. @throws Error when the system has none for it (EAGAIN, a limit of processes) */
export function startDecoder(): Worker {
  return new Worker(DECODE_PROGRAM, { eval: true, resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB } });
}

export class MessageDecoder {
  #worker: Worker | undefined;
  #job: Job | undefined;
  readonly #line = new ClientTurns<Job>();
  readonly #startThread: () => Worker;
  #idle: NodeJS.Timeout | undefined;
  #late: NodeJS.Timeout | undefined;
  /** Goes on with the line after a start that failed. */
  #again: NodeJS.Immediate | undefined;

  /** @param startThread what begins the thread; may throw when the system has none */
  constructor(startThread: () => Worker = startDecoder) {
    this.#startThread = startThread;
  }

  /**
   * The protobuf form of a request; one is read at a time, of one client after the other.
   * @param client whose request it is, such as its connection
   * @param signal the client is gone: what waits in the line is let go at once
   * @throws RpcError (rejects)
   */
  decode(client: object, question: DecodeQuestion, signal: AbortSignal): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(clientGone());
        return;
      }
      const onGone = (): void => {
        if (this.#line.delete(client, job)) reject(clientGone());
      };
      const settled = (): void => signal.removeEventListener('abort', onGone);
      const job: Job = {
        question,
        resolve: (bytes) => {
          settled();
          resolve(bytes);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      };
      this.#line.add(client, job);
      signal.addEventListener('abort', onGone, { once: true });
      this.#next();
    });
  }

  /** Bytes of the requests that wait for their turn. */
  get waitingBytes(): number {
    let bytes = 0;
    for (const { question } of this.#line) bytes += question.bytes.length;
    return bytes;
  }

  #next(): void {
    if (this.#job !== undefined) return;
    clearTimeout(this.#idle);
    const job = this.#line.shift();
    if (job === undefined) {
      this.#idle = setTimeout(() => this.#stop(), IDLE_MS).unref();
      return;
    }
    try {
      this.#worker ??= this.#start();
    } catch (error) {
      job.reject(noThread(error));
      // A start that fails takes its time too, and the line may be long.
      this.#again ??= setImmediate(() => this.#goOn());
      return;
    }
    this.#job = job;
    const worker = this.#worker;
    this.#late = setTimeout(() => void worker.terminate(), MAX_MS).unref();
    worker.postMessage(job.question, [job.question.bytes.buffer]);
  }

  #goOn(): void {
    this.#again = undefined;
    this.#next();
  }

  #start(): Worker {
    const worker = this.#startThread();
    worker.on('message', (answer: DecodeAnswer) => {
      const job = this.#take();
      if ('bytes' in answer) job?.resolve(answer.bytes);
      else if ('error' in answer) job?.reject(new RpcError(Code.INVALID_ARGUMENT, answer.error));
      else job?.reject(new RpcError(Code.RESOURCE_EXHAUSTED, TOO_MUCH));
      this.#next();
    });
    // Its end, expected or not, follows.
    worker.on('error', () => {});
    worker.on('exit', () => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#take()?.reject(new RpcError(Code.RESOURCE_EXHAUSTED, TOO_MUCH));
      this.#next();
    });
    // It does not keep the process alive.
    worker.unref();
    return worker;
  }

  #take(): Job | undefined {
    const job = this.#job;
    this.#job = undefined;
    clearTimeout(this.#late);
    return job;
  }

  #stop(): void {
    const worker = this.#worker;
    this.#worker = undefined;
    void worker?.terminate();
  }
}

function noThread(error: unknown): RpcError {
  const why = error instanceof Error && 'code' in error ? `: ${String(error.code)}` : '';
  return new RpcError(
    Code.RESOURCE_EXHAUSTED,
    `etcd-connect-proxy: no thread can be started that reads large requests${why}`,
  );
}
