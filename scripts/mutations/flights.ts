/** Ways to break the sharing of calls. */
import { type Mutation, mutation } from './mutation.ts';

const FLIGHTS = 'flights';

/** The mutations of `flights/`. */
export const SHARED: readonly Mutation[] = [
  mutation(
    'one-flight-for-all-identities',
    `${FLIGHTS}/flights.ts`,
    'anonymous ? latin1(request) : identity + latin1(request);',
    'latin1(request);',
  ),
  mutation(
    'labels-tell-calls-apart',
    'clients/identity.ts',
    'JSON.stringify(withoutLabels(metadata.fields))',
    'JSON.stringify(metadata.fields)',
  ),
  mutation(
    'labels-of-any-length',
    'clients/labels.ts',
    'return bytes > MAX_LABELS_BYTES || proxies',
    'return bytes > MAX_LABELS_BYTES * 1e9 || proxies',
  ),
  mutation(
    'what-etcd-refuses-is-a-label',
    'clients/labels.ts',
    "return (name.endsWith('-bin') ? BASE64 : PLAIN).test(value);",
    'return true;',
  ),
  mutation(
    'no-bound-on-passengers',
    `${FLIGHTS}/flights.ts`,
    'gathered >= this.#limits.maxPassengers',
    'gathered < 0',
  ),
  mutation(
    'no-bound-on-flights',
    `${FLIGHTS}/flights.ts`,
    'this.#anonymous.size + this.#named.size >= this.#limits.maxFlights',
    'this.#anonymous.size + this.#named.size < 0',
  ),
  mutation(
    'no-bound-on-keys',
    `${FLIGHTS}/flights.ts`,
    'identity === undefined || identity.length + request.length > maxKeyBytes',
    'identity === undefined',
  ),
  mutation('a-lane-that-stays', `${FLIGHTS}/flights.ts`, 'lanes.delete(lane.key);', 'lanes.has(lane.key);'),
  mutation(
    'joins-a-call-that-was-sent',
    `${FLIGHTS}/lane.ts`,
    'const flight = this.#gathering;\n    this.#gathering = undefined;',
    'const flight = this.#gathering;',
  ),
  mutation(
    'the-first-deadline-ends-it-for-all',
    `${FLIGHTS}/flight.ts`,
    'if (call.deadline > latest) latest = call.deadline;',
    'if (latest === 0 || call.deadline < latest) latest = call.deadline;',
  ),
  mutation(
    'one-that-leaves-cancels-it-for-all',
    `${FLIGHTS}/flight.ts`,
    'if (this.#passengers.length > 0 || !this.#sent) return;',
    'if (!this.#sent) return;',
  ),
  mutation(
    'nobody-waits-and-it-goes-on',
    `${FLIGHTS}/flight.ts`,
    'this.cancelled = true;\n    this.work?.cancel();',
    'this.cancelled = true;',
  ),
  mutation(
    'the-wrong-passenger-leaves',
    `${FLIGHTS}/flight.ts`,
    'if (last !== passenger) {',
    'if (last !== passenger && last.index < 0) {',
  ),
  mutation(
    'more-than-a-turn-takes',
    `${FLIGHTS}/flight.ts`,
    'if (this.#passengers.length > 0) setImmediate(() => this.#deliver(settle));',
    '',
  ),
  mutation(
    'headers-for-the-first-only',
    `${FLIGHTS}/flight.ts`,
    '      call.responseHeaders = this.responseHeaders;\n',
    '',
  ),
  mutation(
    'nobody-is-too-slow',
    `${FLIGHTS}/stream-flight.ts`,
    'held.bytes > held.limit && this.#backlog.length > 1',
    'held.bytes < 0 && this.#backlog.length > 1',
  ),
  mutation(
    'etcd-is-never-paused',
    `${FLIGHTS}/stream-flight.ts`,
    'const paused = this.#reading.size === 0;',
    'const paused = this.#reading.size < 0;',
  ),
  mutation(
    'held-bytes-are-not-given-back',
    `${FLIGHTS}/backlog.ts`,
    'this.#held.bytes -= message.length;',
    'this.#held.bytes -= message.length * 0;',
  ),
  mutation(
    'forgotten-while-it-is-given-out',
    `${FLIGHTS}/stream-flight.ts`,
    '    if (this.#pumping) return;\n',
    '',
  ),
  mutation(
    'who-left-is-waited-for',
    `${FLIGHTS}/stream-flight.ts`,
    '      if (!this.#reading.has(passenger)) return;\n',
    '',
  ),
  mutation(
    'those-have-to-go-who-hold-up-nobody',
    `${FLIGHTS}/stream-flight.ts`,
    'if (slowest.size === this.#passengers.size) return;',
    'if (this.#passengers.size <= 1) return;',
  ),
];
