/** What a shared stream needs of whoever has it. */
import type { WatchResponse } from '../../etcd/watch-response.ts';
import type { ClientStream, ClientStreamListener } from '../../rpc/contract.ts';
import type { Status } from '../../rpc/status.ts';
import type { AssemblyBounds } from '../response-assembly.ts';
import type { StreamEnd } from './seat.ts';

/** Who decides what such a stream is for. */
export interface SharedStreamOwner<Stream> {
  readonly assembly: AssemblyBounds;
  open(listener: ClientStreamListener): ClientStream;
  /** The interval between two notifications of etcd, in milliseconds. */
  onGap(ms: number): void;
  /** Whether a question may be asked now. */
  mayAsk(stream: Stream): boolean;
  /** Whether somebody beside the seats wants an answer. */
  wantsAnswer(stream: Stream): boolean;
  /** The first response has come: this member answers. */
  onMember(stream: Stream, member: string): void;
  /** Every watch that was asked for is there. */
  onAllCreated(stream: Stream): void;
  /** etcd says how far the stream has come. */
  onAnswer(stream: Stream, told: WatchResponse): void;
  /** A seat was given up. */
  onLeft(stream: Stream): void;
  /** Some time has passed. */
  onBeat(stream: Stream): void;
  /** A fault of the program, for which the stream is given up, or one of its seats. */
  onFault(error: unknown): void;
  /** etcd has ended it. @returns what its seats are told, and how many of them may be together again */
  onOver(stream: Stream, status: Status): Omit<StreamEnd, 'told'>;
  /** Its seats have heard of that. */
  onLost(stream: Stream): void;
  /** It is gone, whoever ended it. */
  onGone(): void;
}
