/**
 * How far etcd's users, roles and permissions are: a number that grows with every change of them. As long as it stays, so
 * do all permissions. It is read from etcd's own page of metrics, which costs no proposal and needs no credentials.
 *
 * Auth that is switched off moves the number, auth that is switched on does not. So a number while auth is on is not the same
 * as while it is off, which a read without credentials finds out: etcd refuses it while auth is on. It is made after the
 * number was read; whoever switches auth off in between moves the number. With the same number, and auth off at both times, it
 * was off all the time: whoever switched it on in between would have moved the number by switching it off.
 */
import { COUNT_ANY } from '../etcd/own-requests.ts';
import { wantsToken } from '../etcd/words.ts';
import { type EtcdPages, METRICS_BOUNDS } from '../rpc/pages.ts';
import { RpcError } from '../rpc/status.ts';

/** A path that nobody else fetches, so that no page is used which was asked for earlier. Releases may answer with less. */
const PATH = '/metrics?name[]=etcd_debugging_auth_revision';

/** The beginning of the line. Since 3.4.0. */
const SERIES = Buffer.from('\netcd_debugging_auth_revision ');
const LINE_FEED = 0x0a;

/** No number is longer. Bytes. */
const MAX_NUMBER = 32;

/** Sends an encoded RangeRequest without credentials. */
export type ReadAsNobody = (request: Uint8Array) => Promise<Uint8Array>;

/** Asks the member in use. */
export class AuthRevision {
  readonly #pages: EtcdPages;
  readonly #read: ReadAsNobody;
  #underWay: Promise<bigint | undefined> | undefined;
  #gathering: Promise<bigint | undefined> | undefined;

  constructor(pages: EtcdPages, read: ReadAsNobody) {
    this.#pages = pages;
    this.#read = read;
  }

  /**
   * The number at some moment after the call, the same for all who ask at a time. Never rejects.
   * @returns negative while auth is off; `undefined` where it cannot be known: etcd has no such page or number there, or does
   * not answer
   */
  current(): Promise<bigint | undefined> {
    if (this.#underWay === undefined) return this.#begin();
    // What is under way may be from before the call.
    this.#gathering ??= this.#underWay.then(() => {
      this.#gathering = undefined;
      return this.#underWay ?? this.#begin();
    });
    return this.#gathering;
  }

  #begin(): Promise<bigint | undefined> {
    this.#underWay = this.#ask().finally(() => {
      this.#underWay = undefined;
    });
    return this.#underWay;
  }

  async #ask(): Promise<bigint | undefined> {
    const page = await this.#pages.get(PATH, METRICS_BOUNDS);
    if (typeof page === 'string') return undefined;
    const revision = revisionOn(page.body);
    if (revision === undefined) return undefined;
    try {
      await this.#read(COUNT_ANY);
      return -revision;
    } catch (error) {
      return wantsToken(RpcError.from(error)) ? revision : undefined;
    }
  }
}

/** Looks for the one line; the page is long, and all else on it is nobody's business here. */
function revisionOn(body: Uint8Array): bigint | undefined {
  const page = Buffer.from(body.buffer, body.byteOffset, body.length);
  const at = page.indexOf(SERIES);
  if (at < 0) return undefined;
  const start = at + SERIES.length;
  const end = page.indexOf(LINE_FEED, start);
  if (end < 0 || end - start > MAX_NUMBER) return undefined;
  // Go writes large ones as 1.234567e+06.
  const value = Number(page.toString('latin1', start, end));
  return Number.isSafeInteger(value) && value > 0 ? BigInt(value) : undefined;
}
