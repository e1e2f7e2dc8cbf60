/**
 * What a case does on one side, written down step by step so that it can be compared with what the same case did
 * on another.
 */
import {
  type DescMessage,
  type DescMethodBiDiStreaming,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import {
  type CallOptions,
  collect,
  type GrpcOutcome,
  type OpenCall,
  type RawCall,
} from '../support/raw-grpc.ts';
import { until } from '../support/until.ts';
import { learn } from './learn.ts';
import { Names } from './names.ts';
import { bytesText, type Plain, plainMessage } from './plain.ts';
import { message, type OneRequestMethod, pathOf, type Rpc, type RpcOptions, rpc } from './rpc.ts';
import type { Side } from './side.ts';

/** One step as it is compared. */
export interface Step {
  /** What was done. */
  readonly step: string;
  readonly result: Plain;
}

const shortPath = (path: string): string => path.replace(/^\/([A-Za-z0-9]+\.)*/, '').replace('/', '.');

/** A call within a script that goes on; each message taken becomes part of the record. */
export class ScriptCall<O extends DescMessage> {
  protected readonly script: Script;
  protected readonly name: string;
  private readonly output: O;
  private readonly open: OpenCall;

  constructor(script: Script, path: string, output: O, open: OpenCall) {
    this.script = script;
    this.name = shortPath(path);
    this.output = output;
    this.open = open;
  }

  /** Takes messages without recording them. */
  async read(count = 1): Promise<MessageShape<O>[]> {
    const messages: MessageShape<O>[] = [];
    for (let at = 0; at < count; at++) messages.push(fromBinary(this.output, await this.bytes()));
    return messages;
  }

  private async bytes(): Promise<Uint8Array> {
    const next = await this.open.next();
    if (next !== undefined) return next;
    const { code, message: text } = await this.open.end;
    throw new Error(`${this.name} ended early: ${code} ${text}`);
  }

  /** Takes and records the next messages. */
  async take(count = 1): Promise<MessageShape<O>[]> {
    const all: Uint8Array[] = [];
    for (let at = 0; at < count; at++) all.push(await this.bytes());
    return this.noteMessages(all);
  }

  /** Takes and records messages up to the first for which something holds. */
  async takeUntil(isLast: (message: MessageShape<O>) => boolean): Promise<void> {
    const all: Uint8Array[] = [];
    do all.push(await this.bytes());
    while (!isLast(fromBinary(this.output, all.at(-1) ?? new Uint8Array())));
    this.noteMessages(all);
  }

  private noteMessages(all: readonly Uint8Array[]): MessageShape<O>[] {
    const plain = all.map((bytes) => plainMessage(this.output, bytes, this.script.names));
    this.script.note(this.name, plain);
    return all.map((bytes) => fromBinary(this.output, bytes));
  }

  /** Records all that still comes until the other side ends the call, and how it ends it. */
  async untilEnd(options: RpcOptions = {}): Promise<void> {
    this.script.noteOutcome(this.name, this.output, await collect(this.open), options);
  }

  /** All that still comes until the other side ends the call, without recording it. */
  rest(): Promise<GrpcOutcome> {
    return collect(this.open);
  }

  /** Ends the call from the client's side. */
  cancel(): void {
    this.open.cancel();
  }
}

/** A bidirectional stream within a script. */
export class ScriptStream<I extends DescMessage, O extends DescMessage> extends ScriptCall<O> {
  private readonly method: DescMethodBiDiStreaming<I, O>;
  private readonly call: RawCall;

  constructor(script: Script, method: DescMethodBiDiStreaming<I, O>, call: RawCall) {
    super(script, pathOf(method), method.output, call);
    this.method = method;
    this.call = call;
  }

  send(request: MessageInitShape<I>): void {
    this.call.send(message(this.method, request));
  }

  /** Sends bytes that need not be a message. */
  sendRaw(bytes: Uint8Array): void {
    this.call.send(bytes);
  }

  halfClose(): void {
    this.call.halfClose();
  }

  override cancel(): void {
    this.script.note(`${this.name}: messages nobody expected`, this.call.unread);
    super.cancel();
  }
}

/** One run of one case on one side. */
export class Script {
  readonly side: Side;
  readonly names: Names;
  private readonly steps: Step[] = [];
  private readonly exact: boolean;

  /** With `exact`, nothing counts as volatile: for calls to the very same store. */
  constructor(side: Side, exact = false) {
    this.side = side;
    this.names = exact ? new Names() : new Names(side.names);
    this.exact = exact;
  }

  /** What was recorded, by step. */
  get record(): Plain {
    return Object.fromEntries(this.steps.map(({ step, result }, index) => [`${index + 1} ${step}`, result]));
  }

  /** Puts the steps in an order that does not depend on which call made at the same time was answered first. */
  sort(): void {
    this.steps.sort((one, two) => (one.step < two.step ? -1 : 1));
  }

  /** Records anything. */
  note(step: string, result: Plain): void {
    this.steps.push({ step, result });
  }

  /** Records a whole call. */
  noteOutcome(step: string, output: DescMessage, outcome: GrpcOutcome, options: RpcOptions = {}): void {
    const { code, message: text, details, headers, trailers } = outcome;
    const messages = outcome.messages.map((bytes) => plainMessage(output, bytes, this.names, this.exact));
    const exact = this.exact ? { bytes: outcome.messages.map((bytes) => bytesText(bytes)) } : {};
    const expected = options.documented?.[this.side.kind.through];
    if (expected?.some((status) => status.code === code && status.message === text) === true)
      this.note(step, 'as documented');
    else if (options.anyCode?.includes(code) === true) {
      // Where success is one of the ways to end, so is an answer.
      const answered = options.anyCode.includes(0) ? {} : { messages };
      this.note(step, { ...answered, code: `one of ${options.anyCode.join(', ')}` });
    } else
      this.note(step, {
        messages,
        code,
        message: this.names.text(text),
        details,
        headers,
        trailers,
        ...exact,
      });
  }

  /** Makes a call in the side's protocol and records its outcome. */
  async run(call: Rpc): Promise<GrpcOutcome> {
    const outcome = await collect(this.side.open(call));
    if (!this.exact) learn(call, outcome.messages, this.names);
    this.noteOutcome(shortPath(call.path), call.output, outcome, call.options);
    return outcome;
  }

  /** Makes calls one after the other and records their outcomes. */
  async runAll(calls: Iterable<Rpc>): Promise<void> {
    for (const call of calls) await this.run(call);
  }

  /** Makes calls all at once and records their outcomes, in the order in which they were made. */
  async runAtOnce(list: readonly Rpc[]): Promise<void> {
    const outcomes = await Promise.all(list.map((call) => collect(this.side.open(call))));
    for (const [index, { path, output, options }] of list.entries()) {
      const outcome = outcomes[index];
      if (outcome !== undefined) this.noteOutcome(shortPath(path), output, outcome, options);
    }
  }

  /** Makes a call that must succeed, and returns its reply. */
  async ask<I extends DescMessage, O extends DescMessage>(
    method: OneRequestMethod<I, O>,
    request?: MessageInitShape<I>,
    options: RpcOptions = {},
  ): Promise<MessageShape<O>> {
    const { messages, code, message: text } = await this.run(rpc(method, request, options));
    const [reply] = messages;
    if (code !== 0 || reply === undefined) throw new Error(`${pathOf(method)}: ${code} ${text}`);
    return fromBinary(method.output, reply);
  }

  /** Opens a call in the side's protocol, such as a server stream without end. */
  open<I extends DescMessage, O extends DescMessage>(
    method: OneRequestMethod<I, O>,
    request?: MessageInitShape<I>,
    options: RpcOptions = {},
  ): ScriptCall<O> {
    const call = rpc(method, request, options);
    return new ScriptCall(this, call.path, method.output, this.side.open(call));
  }

  /** Opens a bidirectional stream, over gRPC on every side. */
  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
    options: CallOptions = {},
  ): ScriptStream<I, O> {
    return new ScriptStream(this, method, this.side.grpc.open(pathOf(method), options));
  }

  /** Waits until something holds. */
  async until(what: string, holds: () => Promise<boolean>): Promise<void> {
    await until(what, holds);
    this.note('until', what);
  }

  /** Waits until a number is this one; where it never is, the last one is told. */
  async untilNumber(what: string, wanted: number, count: () => Promise<number>): Promise<void> {
    let last = Number.NaN;
    await until(
      () => `${what}: ${last}, not ${wanted}`,
      async () => {
        last = await count();
        return last === wanted;
      },
    );
    this.note('until', what);
  }
}
