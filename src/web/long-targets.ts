/**
 * A request's target may be as long as all of its head, since keys are written there. Nothing else that is read of one is nearly as
 * long, so what is longer is not read: each parameter of a query takes microseconds of the event loop, each `%` of a path a part of one.
 */

/** The most parameters that are read of a query; those behind them are passed over. */
const MAX_PARAMETERS = 1000;

/** No path is longer but that of a key. Characters. */
const MAX_PATH = 16 << 10;

/** Stands for those that are: nothing is there. */
const TOO_LONG = '/path-too-long';

/** The query of a request's target, from its question mark on, as far as it is read; empty when it has none. */
export function queryOf(target: string): string {
  const start = target.indexOf('?');
  if (start < 0) return '';
  let end = start;
  for (let count = 0; count < MAX_PARAMETERS; count++) {
    end = target.indexOf('&', end + 1);
    if (end < 0) return target.slice(start);
  }
  return target.slice(start, end);
}

/** The target by which a route is looked for. */
export function routable(target: string): string {
  if (target.length <= MAX_PATH) return target;
  const end = target.indexOf('?');
  return (end < 0 ? target.length : end) <= MAX_PATH ? target : TOO_LONG;
}
