/**
 * Asks etcd how far a shared stream has come, for all of its seats that want to know. One question is under way at a time,
 * as a rule: after a moment without an answer, which may never come, another one may follow, and it is repeated less and
 * less often.
 */
import { FIRST_QUESTION_MS, MAX_QUESTION_MS } from '../question-delays.ts';

/** The stream. */
export interface QuestionedStream {
  /** Whether a question would be about all of the stream's watches; otherwise it has to wait. */
  readonly mayAsk: boolean;
  /** Whether anybody still waits for an answer. */
  readonly wantsAnswer: boolean;
  sendQuestion(): void;
  /** Does something that concerns the stream; a fault in it ends that. */
  guard(act: () => void): void;
}

export class StreamQuestions {
  readonly #stream: QuestionedStream;
  #turn: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** When the last question was sent, if it was not answered. */
  #sentAt = Number.NEGATIVE_INFINITY;
  /** Since when questions are not answered. */
  #silentSince = Number.POSITIVE_INFINITY;
  #delay = FIRST_QUESTION_MS;

  constructor(stream: QuestionedStream) {
    this.#stream = stream;
  }

  /** For how many milliseconds questions were not answered. */
  get silence(): number {
    return Math.max(0, performance.now() - this.#silentSince);
  }

  /** Somebody wants an answer, or a question may be sent now. */
  want(): void {
    if (this.#turn !== undefined || !this.#stream.mayAsk) return;
    const wait = this.#sentAt + FIRST_QUESTION_MS - performance.now();
    if (wait <= 0) this.#turn = setImmediate(() => this.#stream.guard(() => this.#send()));
    else if (this.#timer === undefined || this.#delay > 2 * FIRST_QUESTION_MS) this.#repeat(wait);
  }

  /** etcd has answered one of the questions. */
  onAnswer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#delay = FIRST_QUESTION_MS;
    this.#sentAt = Number.NEGATIVE_INFINITY;
    this.#silentSince = Number.POSITIVE_INFINITY;
  }

  close(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#turn);
  }

  #send(): void {
    this.#turn = undefined;
    if (!this.#stream.mayAsk || !this.#stream.wantsAnswer) return;
    this.#sentAt = performance.now();
    this.#silentSince = Math.min(this.#silentSince, this.#sentAt);
    this.#stream.sendQuestion();
    this.#repeat(this.#delay);
    this.#delay = Math.min(this.#delay * 2, MAX_QUESTION_MS);
  }

  #repeat(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#stream.guard(() => this.#send());
    }, ms);
  }
}
