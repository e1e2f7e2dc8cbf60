/** Ways to break what keeps clients within their namespace. */
import { type Mutation, mutation } from './mutation.ts';

const REWRITING = 'namespace/key-rewriting.ts';
const LEASES = 'namespace/leases-within.ts';

/** The mutations of `namespace/`. */
export const WITHIN: readonly Mutation[] = [
  mutation(
    'keys-of-elsewhere-are-shown',
    REWRITING,
    'if (!this.#prefix.begins(',
    'if (this.#depth < 0 && !this.#prefix.begins(',
  ),
  mutation(
    'what-is-malformed-passes',
    REWRITING,
    'this.#keepTo = this.#reader.pos;',
    'this.#keepTo = this.#source.length;',
  ),
  mutation(
    'all-keys-are-those-from-the-prefix-on',
    REWRITING,
    'prefix.end, prefix.end.length',
    'prefix.least, prefix.least.length',
  ),
  mutation(
    'large-messages-in-one-turn',
    'rpc/round-robin.ts',
    'export const FIELDS_PER_TURN = 4096;',
    'export const FIELDS_PER_TURN = 1e9;',
  ),
  mutation(
    'each-is-rewritten-again',
    'namespace/translator.ts',
    'if (known !== undefined) return known;',
    '',
  ),
  mutation(
    'each-client-gets-a-copy',
    'namespace/shared-replies.ts',
    'const own = inMemoryOfItsOwn(translated);',
    'const own = translated;',
  ),
  mutation(
    'fragments-are-rewritten-for-each',
    'watch/fragments.ts',
    'this.#pieces[number] ??=',
    'this.#pieces[number] =',
  ),
  mutation('leases-below-zero', LEASES, 'if ((bits & 1) !== 0) return false;', ''),
  mutation('the-absent-lease-is-one', LEASES, '(own > 0 || lower !== 0)', 'own < 5'),
  mutation('leases-of-the-next-hash', LEASES, 'own < 4', 'own < 8'),
  mutation(
    'leases-of-elsewhere-in-transactions',
    REWRITING,
    'if (leases.allows(',
    'if (this.#depth > 2 || leases.allows(',
  ),
  mutation(
    'any-number-of-fields',
    'etcd/strict-fields.ts',
    'if (left === 0) throw',
    'if (left < -1e9) throw',
  ),
  mutation(
    'methods-of-the-cluster',
    'namespace/isolation.ts',
    'if (!ALLOWED.has(path))\n      return () =>',
    'if (path === "")\n      return () =>',
  ),
];
