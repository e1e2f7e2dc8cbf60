/**
 * The light question whether an endpoint serves: a linearizable count of one key that demands a leader and carries no
 * token. Learners and members without a leader refuse it before etcd looks at who asks, and where auth is on the refusal
 * `user name is empty` comes only after the read index, so that it proves service like any answer.
 */

import { clusterInHex } from '../etcd/header.ts';
import { KV } from '../etcd/methods.ts';
import { withOwnVersion } from '../etcd/own-metadata.ts';
import { COUNT_ONE } from '../etcd/own-requests.ts';
import { isRefusedForCredentials, refusalIn, Standing } from '../etcd/words.ts';
import { ClientCall, type ClientCallListener, type Ending } from '../grpc/client-call.ts';
import type { ReceiveLimits } from '../grpc/envelope.ts';
import { isOfHttp } from '../grpc/fields.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { Code } from '../rpc/status.ts';
import { saysLeadsBack } from '../rpc/via.ts';
import { requestBlock } from './request-block.ts';
import type { Route } from './route.ts';

/** What an endpoint has said. */
export type QuestionAnswer =
  /** `cluster` is the id of its cluster as it stands in the header, in hex; unknown while auth is on. */
  | { readonly kind: 'serves'; readonly cluster: string | undefined }
  | { readonly kind: 'refuses'; readonly standing: number; readonly reason: string }
  /** It does not know the question, which every etcd does. */
  | { readonly kind: 'isNoEtcd'; readonly reason: string }
  /** The question has come back to this proxy. */
  | { readonly kind: 'leadsBack' };

const DEMANDS_LEADER = withOwnVersion(['hasleader', 'true']);

/** etcd need not work on a question that nobody waits for any more. Milliseconds. */
const DEADLINE_MS = 5000;

const LIMITS: ReceiveLimits = { maxBytes: 65_536, tooLarge: () => 'an answer too large for the question' };

/** One question under way. */
export class Question implements ClientCallListener {
  readonly #onAnswer: (answer: QuestionAnswer) => void;
  readonly #call: ClientCall;
  #cluster: string | undefined;

  /**
   * Asks on a connection, which must have room for a stream.
   * @param onAnswer is called once, unless the question is taken back
   */
  constructor(
    { connection, endpoint }: Pick<Route, 'connection' | 'endpoint'>,
    onAnswer: (answer: QuestionAnswer) => void,
  ) {
    this.#onAnswer = onAnswer;
    const call = new OwnCall(KV.Range, DEMANDS_LEADER, performance.now() + DEADLINE_MS);
    const block = requestBlock(endpoint, call);
    this.#call = new ClientCall(connection, block, this, LIMITS, call.deadline, endpoint.name);
    this.#call.send(COUNT_ONE, true);
  }

  /** Takes the question back. */
  cancel(): void {
    this.#call.cancel();
  }

  onHeaders(): void {
    // The answer is the message, or the status.
  }

  onMessage(message: Uint8Array): void {
    this.#cluster = clusterInHex(message);
  }

  onDrain(): void {
    // The one message was queued as a whole.
  }

  onEnding({ answered, status }: Ending): void {
    const { code, message } = status;
    const serves = answered && (code === Code.OK || (isRefusedForCredentials(status) && !isOfHttp(status)));
    if (answered && saysLeadsBack(status)) this.#onAnswer({ kind: 'leadsBack' });
    else if (serves) this.#onAnswer({ kind: 'serves', cluster: this.#cluster });
    else if (answered && code === Code.UNIMPLEMENTED) this.#onAnswer({ kind: 'isNoEtcd', reason: message });
    else {
      const standing = (answered ? refusalIn(status)?.standing : undefined) ?? Standing.UNFIT;
      this.#onAnswer({ kind: 'refuses', standing, reason: message || `code ${code}` });
    }
  }
}
