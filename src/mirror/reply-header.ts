/** The header of a mirror's answers: that of the feed's member at the mirror's revision, encoded once for each. */
import { type Header, headerFieldText, NO_HEADER, withRevision } from '../etcd/header.ts';

export class ReplyHeader {
  #text = '';
  /** What the text was made of. */
  #header: Header;
  #revision = 0;

  /** @param header that of the snapshot, used until the feed has one */
  constructor(header: Header) {
    this.#header = header;
  }

  /** The field `header` of an answer at a revision, latin1. */
  at(revision: number, fromFeed: Header): string {
    const header = fromFeed === NO_HEADER ? this.#header : fromFeed;
    if (header !== this.#header || revision !== this.#revision) {
      this.#header = header;
      this.#revision = revision;
      this.#text = headerFieldText(withRevision(header, revision).bytes);
    }
    return this.#text;
  }
}
