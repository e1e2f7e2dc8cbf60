/** The heartbeats of one client's stream that have no answer yet, in the order in which they came and are answered. */
import { Heartbeat, type HeartbeatOwner } from './heartbeat.ts';

export class ClientLine {
  size = 0;
  #first: Heartbeat | undefined;
  #last: Heartbeat | undefined;

  get first(): Heartbeat | undefined {
    return this.#first;
  }

  push(heartbeat: Heartbeat): void {
    if (this.#last === undefined) this.#first = heartbeat;
    else this.#last.next = heartbeat;
    this.#last = heartbeat;
    this.size++;
  }

  /** The first one is answered. */
  shift(): void {
    this.#first = this.#first?.next;
    if (this.#first === undefined) this.#last = undefined;
    this.size--;
  }

  /** Nobody waits for any of them. */
  disown(): void {
    disown(this.#first);
    this.#first = undefined;
    this.#last = undefined;
  }

  /**
   * Nobody waits any more for what was sent: where it has no answer, another heartbeat stands in its place.
   * @returns the first one of these
   */
  renew(owner: HeartbeatOwner): Heartbeat | undefined {
    let before: Heartbeat | undefined;
    for (let each = this.#first; each !== undefined && each.refusal === undefined; each = each.next) {
      let now = each;
      if (each.reply === undefined) {
        now = new Heartbeat(each, owner);
        now.next = each.next;
        each.owner = undefined;
        if (before === undefined) this.#first = now;
        else before.next = now;
        if (each === this.#last) this.#last = now;
      }
      before = now;
    }
    return nextOpen(this.#first);
  }
}

/** Nobody waits for a heartbeat and those behind it. */
export function disown(heartbeat: Heartbeat | undefined): void {
  for (let each = heartbeat; each !== undefined; each = each.next) each.owner = undefined;
}

/** The first one, from a heartbeat on, that has to be sent; behind one that was refused there is none. */
export function nextOpen(heartbeat: Heartbeat | undefined): Heartbeat | undefined {
  let each = heartbeat;
  while (each?.reply !== undefined) each = each.next;
  return each?.refusal === undefined ? each : undefined;
}
