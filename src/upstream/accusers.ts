/** Calls that etcd refused for a reason that may be the member's, and that wait for the verdict about it. */

/** A call that etcd refused for a reason that may be the member's. */
export interface Accuser {
  /** `again`: an endpoint serves, perhaps the same one, so the call may be sent again. */
  onJudged(again: boolean): void;
}

export class Accusers {
  #all: Accuser[] = [];

  /** One more waits. */
  add(accuser: Accuser): void {
    this.#all.push(accuser);
  }

  /** The verdict. */
  onJudged(again: boolean): void {
    const all = this.#all;
    this.#all = [];
    for (const accuser of all) accuser.onJudged(again);
  }
}
