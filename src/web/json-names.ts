/**
 * Names that are there twice in JSON. As in etcd's gateway none of a field may be, be it under its two names or with `null`;
 * what is unknown may be as it likes. `JSON.parse` keeps the last of equal names and tells nothing of it.
 */
import type { DescMessage } from '@bufbuild/protobuf';
import { BadJson } from './json-scalars.ts';
import { type JsonField, jsonTable } from './json-table.ts';

const BACKSLASH = 0x5c;

/** What a text of JSON is cut at; strings are passed over as a whole. */
const MARKS = /["{}[\],]/g;

/** At most so many names are in a text: each is followed by a colon, and strings may have further ones. */
export function mostNames(text: string): number {
  let count = 0;
  for (let at = text.indexOf(':'); at >= 0; at = text.indexOf(':', at + 1)) count++;
  return count;
}

/** An object or list whose end was not reached. */
interface Open {
  /** What the objects here are; undefined: unknown, or none. */
  readonly schema: DescMessage | undefined;
  /** The fields of this object that were given; undefined: it is a list. */
  readonly seen: Set<JsonField> | undefined;
  /** The next string is a name. */
  atName: boolean;
  /** The field of the last name. */
  field: JsonField | undefined;
}

/**
 * Looks for fields that are given twice, in one pass over the text.
 * @param text JSON, which is not checked
 * @throws BadJson when there is one
 */
export function refuseTwice(schema: DescMessage, text: string): void {
  const around: Open[] = [];
  let open: Open = { schema, seen: undefined, atName: false, field: undefined };
  MARKS.lastIndex = 0;
  for (let mark = MARKS.exec(text); mark !== null; mark = MARKS.exec(text)) {
    const at = mark.index;
    switch (text[at]) {
      case '"':
        MARKS.lastIndex = endOfString(text, at);
        if (open.atName) takeName(open, text.slice(at, MARKS.lastIndex));
        break;
      case '{':
      case '[': {
        around.push(open);
        const within = open.seen === undefined ? open.schema : open.field?.message;
        const seen = text[at] === '{' ? new Set<JsonField>() : undefined;
        open = { schema: within, seen, atName: seen !== undefined, field: undefined };
        break;
      }
      case ',':
        open.atName = open.seen !== undefined;
        break;
      default:
        open = around.pop() ?? open;
    }
  }
}

function takeName(open: Open, quoted: string): void {
  open.atName = false;
  open.field = undefined;
  if (open.schema === undefined) return;
  const name = JSON.parse(quoted) as string;
  const field = jsonTable(open.schema).byName.get(name);
  if (field === undefined) return;
  if (open.seen?.has(field) === true) throw new BadJson(`${name} is given twice`);
  open.seen?.add(field);
  open.field = field;
}

/** Where the text goes on behind a string that begins here. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let first = at;
    while (text.charCodeAt(first - 1) === BACKSLASH) first--;
    if ((at - first) % 2 === 0) return at + 1;
  }
  return text.length;
}
