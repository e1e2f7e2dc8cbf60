/** Ways to break what is done with heartbeats. */
import { type Mutation, mutation } from './mutation.ts';

const CARRIER = 'lease/carrier.ts';
const CARRIERS = 'lease/carriers.ts';
const CLIENT = 'lease/client-stream.ts';
const SERVICE = 'lease/service.ts';
const CREDENTIALS = 'lease/credentials.ts';
const CHECKS = 'lease/token-checks.ts';
const LINE = 'lease/client-line.ts';
const BYTES = 'etcd/lease-keep-alive.ts';
const PROMPTNESS = 'lease/promptness.ts';
const LEASES = 'lease/leases.ts';
const SHARE = 'lease/share.ts';

/** The mutations of `lease/`. */
export const HEARTBEATS: readonly Mutation[] = [
  mutation('leases-of-half-the-bits', BYTES, 'high |= bits << (7 * i - 32)', 'high |= 0'),
  mutation(
    'requests-with-more-in-them-are-shared',
    BYTES,
    'this.#varint(request, 1) === request.length',
    'this.#varint(request, 1) > 0',
  ),
  mutation('any-reply-will-do', CARRIER, '!reader.isReplyTo(reply, first)', 'reply === undefined'),
  mutation('no-window', CARRIER, 'this.#sent.size < WINDOW', 'this.#sent.size < WINDOW * 1e9'),
  mutation('joins-any-lease', CARRIER, 'if (other?.isFor(heartbeat)) {', 'if (other !== undefined) {'),
  mutation('joins-nobody', CARRIER, 'if (other?.isFor(heartbeat)) {', 'if (other === heartbeat) {'),
  mutation(
    'joins-one-that-was-sent',
    CARRIER,
    'if (this.#byLease.get(hash) === heartbeat) this.#byLease.delete(hash);',
    '',
  ),
  mutation('beats-for-whom-is-gone', CARRIER, 'if (heartbeat.isWanted) this', 'if (this.size >= 0) this'),
  mutation(
    'beats-again-for-whom-is-gone',
    CARRIER,
    'const dropped = this.#sent.drop();',
    'const dropped = 0 * this.#sent.size;',
  ),
  mutation(
    'hangs-when-all-that-was-sent-is-gone',
    CARRIER,
    'if (dropped > 0) queueMicrotask',
    'if (dropped < 0) queueMicrotask',
  ),
  mutation(
    'one-refusal-is-for-all',
    CARRIER,
    '(refusesUser(status)) this.#failFirst(',
    '(refusesUser(status)) this.#failAll(',
  ),
  mutation('an-outage-is-for-one', CARRIER, 'else this.#failAll(', 'else this.#failFirst('),
  mutation('refused-ones-are-forgotten', CARRIER, 'this.#owner.onRefused(first);', ''),
  mutation(
    'others-wait-behind',
    CARRIER,
    'this.#waiting.prepend(this.#sent);',
    'while (this.#sent.size > 0) this.#waiting.push(this.#sent.shift() as Heartbeat);',
  ),
  mutation(
    'one-that-joined-is-forgotten',
    CARRIER,
    'each.owner?.onReply(each, reply);',
    'if (each === first) each.owner?.onReply(each, reply);',
  ),
  mutation('a-stream-that-is-left-hangs', CARRIER, 'this.#stream.halfClose();', ''),
  mutation(
    'never-more-streams',
    CARRIERS,
    'if (isLate) this.#grow();',
    'if (isLate && this.#clients < 0) this.#grow();',
  ),
  mutation('streams-without-end', CARRIERS, 'length >= MAX_CARRIERS)', 'length >= MAX_CARRIERS * 2)'),
  mutation(
    'never-fewer-streams',
    CARRIERS,
    'performance.now() - this.#lateAt > PROMPT_MS',
    'performance.now() < 0',
  ),
  mutation('who-is-gone-is-placed-anew', CARRIERS, 'if (each.isWanted) this.send(each);', 'this.send(each);'),
  mutation('what-waits-is-lost', CARRIERS, 'for (const line of lines) this.placeAll(line);', ''),
  mutation(
    'all-identities-are-one',
    LEASES,
    'return this.#carriers.get(identity.id) ??',
    'return this.#carriers.values().next().value ??',
  ),
  mutation(
    'streams-that-nobody-uses-stay',
    LEASES,
    'setTimeout(() => this.#forget(carriers), LINGER_MS)',
    'setTimeout(() => carriers.stats, LINGER_MS)',
  ),
  mutation('one-late-answer-is-lateness', PROMPTNESS, 'const SLOW_TICKS = 3;', 'const SLOW_TICKS = 1;'),
  mutation('silence-is-lateness', PROMPTNESS, 'else if (answered > 0) {', 'else {'),
  mutation(
    'answers-in-any-order',
    CLIENT,
    'if (heartbeat === this.#line.first) {',
    'if (heartbeat !== undefined) {',
  ),
  mutation(
    'what-came-early-is-lost',
    CLIENT,
    'heartbeat.reply = Buffer.from(reply);',
    'heartbeat.reply = undefined;',
  ),
  mutation(
    'half-close-ends-at-once',
    CLIENT,
    'if (this.#halfClosed && this.#line.size === 0)',
    'if (this.#halfClosed)',
  ),
  mutation(
    'no-leader-is-demanded',
    CLIENT,
    'demandsLeader(call.metadata) ? parts.leader : undefined',
    'undefined',
  ),
  mutation(
    'who-does-not-read-is-read',
    CLIENT,
    'if (!this.#client.send(reply)) this.#blocked = true;',
    'this.#client.send(reply);',
  ),
  mutation(
    'who-was-refused-shares',
    SERVICE,
    'leases.refusedOf(identity)?.hasClient(call.client)',
    'leases.refusedOf(identity)?.hasClient({ ...call.client })',
  ),
  mutation(
    'what-was-refused-is-shared',
    CLIENT,
    'this.#carriers?.refused?.hasLease(reader)',
    'message.length > 99',
  ),
  mutation(
    'what-was-asked-before-is-forgotten',
    CLIENT,
    'this.#client.listener.onMessage(keepAliveRequest(each));',
    '',
  ),
  mutation('memory-is-not-given-back', CLIENT, 'this.#client.hold(-HEARTBEAT_BYTES * size);', ''),
  mutation('one-connection-fills-the-line', SHARE, 'this.#taken < MAX_OF_CONNECTION && ', ''),
  mutation('an-outage-is-told-batch-by-batch', CARRIER, 'refusal.forAll ?', 'refusal.own ?'),
  mutation('an-outage-is-told-in-turns', CLIENT, 'if (refusal.forAll) this', 'if (refusal.own) this'),
  mutation('who-is-over-beats', CLIENT, '(this.#over || this.#refused)', '(this.#refused)'),
  mutation('beats-behind-one-that-was-refused', CLIENT, '(this.#over || this.#refused)', '(this.#over)'),
  mutation('a-closed-carrier-stays', CARRIERS, 'else this.#carriers[at] = new Carrier(this);', ''),
  mutation('places-are-lost', SHARE, 'this.#taken -= count;', 'this.#taken -= Math.min(1, count);'),
  mutation(
    'first-streams-first',
    SHARE,
    'if (sharer.sendNext()) this.#waiting.add(sharer);',
    'while (sharer.sendNext()) this.#taken++;',
  ),
  mutation(
    'tokens-of-one-user-do-not-share',
    LEASES,
    'return this.#ofUsers.get(id)?.isSpent === true ? undefined : id;',
    'return undefined;',
  ),
  mutation(
    'whoever-has-shown-a-token-shares-unasked',
    LEASES,
    'this.#checks.isGood(identity)) done',
    'this.#users) done',
  ),
  mutation('a-token-is-asked-about-once', CHECKS, 'this.#looks - at < GOOD_LOOKS ||', ''),
  mutation(
    'who-is-another-user-now-shares',
    LEASES,
    'this.#ofUsers.get(UserCredentials.idOf(user))?.drop(token);',
    '',
  ),
  mutation(
    'a-refused-token-ends-all',
    CARRIER,
    'this.#owner.renews && wantsToken(status)',
    'status.code < 0',
  ),
  mutation(
    'what-was-refused-with-a-token-stays',
    CREDENTIALS,
    'of members ?? []) member.move();',
    'of members ?? []) void member;',
  ),
  mutation(
    'tokens-are-tried-without-end',
    CREDENTIALS,
    '++this.#refusals >= MOST_REFUSALS',
    'this.#refusals < 0',
  ),
  mutation('who-moves-beats-no-more', CLIENT, 'this.#waiting = open;', ''),
  mutation('a-token-that-ends-counts-for-each-stream', CREDENTIALS, 'if (!isNews) return;', ''),
  mutation(
    'each-of-one-lease-goes-out-again',
    'lease/heartbeat.ts',
    'if (other === undefined) byLease.set(hash, heartbeat);',
    '',
  ),
  mutation('what-clients-leave-behind-piles-up', CARRIERS, 'sum + carrier.sweep()', 'sum'),
  mutation(
    'who-joins-is-lost-where-others-are-let-go',
    'lease/heartbeat.ts',
    'this.lastJoined = last === this ? undefined : last;',
    'this.lastJoined = undefined;',
  ),
  mutation(
    'every-second-stream-is-idle',
    'lease/heartbeat.ts',
    'Math.floor(((this.hash >>> 0) * count) / 2 ** 32)',
    '(this.hash >>> 0) % count',
  ),
  mutation('who-moves-loses-the-order', LINE, 'now.next = each.next;', ''),
  mutation('what-waited-for-its-turn-is-not-looked-at', SHARE, 'if (!sharer.maySend()) continue;', ''),
];
