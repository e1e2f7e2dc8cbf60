/** Measures etcd's interval of progress notifications: from one to the next, with no events between them. */
export class NotificationInterval {
  /** In milliseconds of `performance.now()`; not a number while it is not known. */
  #since = Number.NaN;

  /** etcd's own clock begins now. */
  begin(): void {
    this.#since = performance.now();
  }

  onEvents(): void {
    this.#since = Number.NaN;
  }

  /** @returns how long it was, if that is known */
  onNotification(): number | undefined {
    const now = performance.now();
    const ms = now - this.#since;
    this.#since = now;
    return ms >= 0 ? ms : undefined;
  }
}
