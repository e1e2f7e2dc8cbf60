/** Ways to break the sources of endpoints, and what is used of them. */
import { type Mutation, mutation } from './mutation.ts';

const KNOWN = 'endpoints/known-endpoints.ts';
const SRV = 'endpoints/srv-records.ts';
const PEERS = 'endpoints/peers.ts';
const PAGE = 'endpoints/members-page.ts';
const HTTP = 'endpoints/http-get.ts';
const URLS = 'endpoints/urls.ts';
const FILE = 'endpoints/cluster-file.ts';
const SYNCED = 'endpoints/synced-members.ts';
const DISCOVERY = 'endpoints/discovery.ts';
const DISCOVERY_V2 = 'endpoints/discovery-v2.ts';
const LOOKING = 'endpoints/looking.ts';
const FLAGS = 'config/discovery.ts';

/** The mutations of `endpoints/`. */
export const FOUND: readonly Mutation[] = [
  mutation(
    'what-was-written-down-waits-for-no-look',
    KNOWN,
    'looked }) => looked)',
    'looked }) => looked || true)',
  ),
  mutation('the-member-list-goes-last', KNOWN, 'synced.length > 0 ?', 'synced.length > 1000 ?'),
  mutation('that-all-are-tried-is-forgotten', KNOWN, 'this.#widened = true;', ''),
  mutation('a-new-list-stays-widened', KNOWN, 'this.#widened = false;\n', '\n'),
  mutation(
    'those-that-do-not-answer-are-tried-first',
    KNOWN,
    '[...this.#options.fixed, ...this.#base(), ...chosen]',
    '[...chosen, ...this.#base(), ...this.#options.fixed]',
  ),
  mutation('an-endpoint-that-stays-is-another-object', KNOWN, 'before.get(key) ?? endpoint', 'endpoint'),
  mutation(
    'of-too-many-the-first-are-followed',
    KNOWN,
    '[...first, ...others].slice(0, MAX_ENDPOINTS)',
    'endpoints.slice(0, MAX_ENDPOINTS)',
  ),
  mutation('another-order-is-a-change', KNOWN, 'keysOf(usable)).size === 0', 'keysOf(usable)).size < 0'),
  mutation('no-records-are-a-list', SRV, 'if (endpoints.length > 0) {', 'if (endpoints.length >= 0) {'),
  mutation('records-that-cannot-be-had-are-none', SRV, '? set.known :', '? [] :'),
  mutation('a-first-look-without-records-never-ends', SRV, '!this.looked && !signal.aborted', 'this.looked'),
  mutation(
    'plaintext-is-taken-from-dns',
    SRV,
    'insecure ? [secure,',
    'insecure || secure.known.length === 0 ? [secure,',
  ),
  mutation('looks-once', LOOKING, 'this.#timer = setTimeout(() => void this.#look(), pause).unref();', ''),
  mutation(
    'asks-those-that-were-written-down-only',
    PEERS,
    '[this.#learned, this.#seeded, this.#kept]',
    '[this.#seeded]',
  ),
  mutation(
    'a-member-astray-is-believed',
    PEERS,
    'foreign.push(answer);',
    'if (foreign.length === 0) return answer;',
  ),
  mutation('a-cluster-that-was-built-anew-is-not-found', PEERS, 'if (anew !== undefined) return anew;', ''),
  mutation('the-list-that-was-kept-is-not-used', PEERS, 'this.endpoints = kept.clients;', ''),
  mutation(
    'discovery-is-asked-though-a-list-was-kept',
    PEERS,
    'this.#kept = kept.peers;',
    'this.#kept = kept.peers; this.#seek();',
  ),
  mutation(
    'discovery-is-not-asked-when-nobody-answers',
    PEERS,
    'this.#seek();\n    throw failure;',
    'throw failure;',
  ),
  mutation('learners-are-endpoints', PAGE, '!isLearner(member)', 'isLearner(member) !== null'),
  mutation('any-status-is-a-page', PAGE, 'answer.status !== 200', 'answer.status < 200'),
  mutation('answers-have-no-bound', HTTP, 'if (size > maxBytes) throw', 'if (size < 0) throw'),
  mutation('another-protocol-is-waited-for', HTTP, "request.once('close',", "request.once('never',"),
  mutation(
    'bare-addresses-are-urls',
    URLS,
    'endpoint.scheme === undefined ? [] :',
    'endpoint.name === undefined ? [] :',
  ),
  mutation(
    'any-text-is-a-host',
    URLS,
    '!HOST.test(endpoint.target.host)',
    'endpoint.target.host.length > 1000',
  ),
  mutation('zones-are-written-as-they-are-dialled', URLS, ".replace('%', '%25')", ''),
  mutation('the-file-of-others-is-used', FILE, 'From !== this.#from || ', ''),
  mutation('anything-is-read-as-a-file', FILE, "if (!stat.isFile()) throw new Error('it is no file');", ''),
  mutation('the-list-of-another-cluster-is-followed', SYNCED, '?? meant) !== meant', "?? meant) === ''"),
  mutation(
    'the-list-of-a-proxy-is-followed',
    SYNCED,
    'members.some(({ hasId }) => !hasId)',
    'members.length === 0',
  ),
  mutation('a-question-that-broke-off-is-put-again', DISCOVERY, 'this.#waits = false;\n', '\n'),
  mutation(
    'asks-a-service-as-nobody',
    DISCOVERY_V2,
    'authorization: authorizationOf(url)',
    'authorization: undefined',
  ),
  mutation('somebody-elses-etcd-is-used', FLAGS, 'return finds && !isGiven', 'return !finds && !isGiven'),
];
