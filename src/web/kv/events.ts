/**
 * Server-Sent Events (WHATWG HTML section 9.2): what is written of a watch. The id of an event is the revision that a client has
 * seen when it has the event, and all before it. So of several events of a revision only the last one has it.
 */
import type { Status } from '../../rpc/status.ts';
import { unaryError } from '../http-error.ts';
import type { Elements } from './elements.ts';
import { type Change, changeOf, keysText } from './text.ts';

/** What keeps connections alive that somebody closes when nothing is sent. */
export const HEARTBEAT = ':\n\n';

/** Tells what a client has seen without an event. */
export function seenText(revision: bigint): string {
  return `id: ${revision}\n\n`;
}

/**
 * Changes, in their order.
 * @param elements each an `Event`
 * @param complete whether no more of the last one's revision is to come
 * @throws Error when one is none
 */
export function* changesText(elements: Elements, complete: boolean): Generator<string> {
  let before: Change | undefined;
  for (const element of elements) {
    const change = changeOf(element);
    if (before !== undefined) yield* changeText(before, before.revision !== change.revision);
    before = change;
  }
  if (before !== undefined) yield* changeText(before, complete);
}

/** The keys that were there at a revision. @param elements each a `KeyValue` @throws Error when one is none */
export function* snapshotText(elements: Elements, revision: bigint): Generator<string> {
  // Without ids: who lost a part of it gets all of it anew.
  for (const text of keysText(elements, 'whole')) yield* eventText('snapshot', text);
  yield* eventText('synced', [JSON.stringify({ revision: String(revision) })], revision);
}

/**
 * What was wanted is not there any more. A client that comes back goes on with what is; without an id it would begin with a
 * snapshot.
 * @param revision the first one that is there
 */
export function compactedText(revision: bigint, snapshot: boolean): Generator<string> {
  const data = JSON.stringify({ compact_revision: String(revision) });
  return eventText('compacted', [data], snapshot ? '' : revision - 1n);
}

/** The end of a watch that failed. */
export function errorText(status: Status): Generator<string> {
  return eventText('error', [unaryError(status)]);
}

function changeText({ kind, text, revision }: Change, last: boolean): Generator<string> {
  return eventText(kind, text, last ? revision : undefined);
}

/** @param data one line, in parts */
function* eventText(name: string, data: Iterable<string>, id?: bigint | ''): Generator<string> {
  yield `event: ${name}\n${id === undefined ? '' : `id: ${id}\n`}data: `;
  yield* data;
  yield '\n\n';
}
