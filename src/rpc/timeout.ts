/** How headers say how long a call may take: `grpc-timeout` (grpc/grpc `doc/PROTOCOL-HTTP2.md`). */

const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** Milliseconds of a `grpc-timeout`, or `undefined` when it is malformed: at most eight digits and a unit. */
export function parseTimeout(text: string): number | undefined {
  const digits = text.slice(0, -1);
  const unit = UNIT_MS[text.slice(-1)];
  return unit === undefined || !/^\d{1,8}$/.test(digits) ? undefined : Number(digits) * unit;
}

/** Whether a character is a unit of time. */
export function isTimeoutUnit(character: string): boolean {
  return UNIT_MS[character] !== undefined;
}

/** A `grpc-timeout` for a number of milliseconds, never zero: the other side decides when time is over. */
export function formatTimeout(ms: number): string {
  const micros = Math.max(1, Math.ceil(ms * 1000));
  if (micros < 1e8) return `${micros}u`;
  const millis = Math.ceil(ms);
  if (millis < 1e8) return `${millis}m`;
  return `${Math.min(99_999_999, Math.ceil(ms / 1000))}S`;
}
