/**
 * The parameters of a request. What is not known is refused: a parameter with a typing error would be passed over, and something else
 * be read, or deleted.
 */
import { Code, RpcError } from '../../rpc/status.ts';
import { decoded } from './target.ts';

/** The largest number that etcd has: of revisions, leases, limits. */
export const MAX_INT64: bigint = 2n ** 63n - 1n;
const DECIMAL = /^[0-9]{1,19}$/;
const HEXADECIMAL = /^0x[0-9a-f]{1,16}$/i;
const TRUE: ReadonlySet<string> = new Set(['', '1', 'true']);
const FALSE: ReadonlySet<string> = new Set(['0', 'false']);

/** A request that is not as it has to be. */
export function badRequest(message: string): RpcError {
  return new RpcError(Code.INVALID_ARGUMENT, message);
}

/** A whole number of 64 bits, from 1 on; undefined: it is none. */
export function positive(text: string): bigint | undefined {
  if (!DECIMAL.test(text)) return undefined;
  const number = BigInt(text);
  return number >= 1n && number <= MAX_INT64 ? number : undefined;
}

/** Parameters by their names, not decoded yet. */
export class Query {
  readonly #values = new Map<string, string>();

  /**
   * @param text what is behind the question mark
   * @param names those that there are for the request
   * @throws RpcError for any other, and for one that is there twice
   */
  constructor(text: string, names: readonly string[]) {
    for (const part of text.split('&')) {
      if (part === '') continue;
      const at = part.includes('=') ? part.indexOf('=') : part.length;
      const name = part.slice(0, at);
      if (!names.includes(name))
        throw badRequest(`there is no such parameter here; there are ${names.join(', ')}`);
      if (this.#values.has(name)) throw badRequest(`${name} is given twice`);
      this.#values.set(name, part.slice(at + 1));
    }
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** @throws RpcError when it is neither said nor denied */
  flag(name: string): boolean {
    const text = this.text(name);
    if (text === undefined || FALSE.has(text)) return false;
    if (TRUE.has(text)) return true;
    throw badRequest(`${name} is true or false`);
  }

  /** A number from 1 on. @throws RpcError when it is none */
  number(name: string): bigint | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const number = positive(text);
    if (number === undefined) throw badRequest(`${name} is a whole number from 1 on`);
    return number;
  }

  /** A lease, in decimal as JSON has it, or as etcdctl has it, behind `0x`. @throws RpcError when it is none */
  lease(name: string): bigint | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const lease = positive(HEXADECIMAL.test(text) ? String(BigInt(text)) : text);
    if (lease === undefined)
      throw badRequest(`${name} is the id of a lease, decimal or hexadecimal after 0x`);
    return lease;
  }

  /** As forms send them, where `+` is a blank. @throws RpcError when it is no bytes */
  bytes(name: string): Uint8Array | undefined {
    const text = this.#values.get(name);
    return text === undefined ? undefined : decoded(text.replaceAll('+', ' '));
  }

  /** As latin1. @throws RpcError when it is no bytes */
  text(name: string): string | undefined {
    const bytes = this.bytes(name);
    return bytes === undefined ? undefined : Buffer.from(bytes).toString('latin1');
  }
}
