/**
 * Random things that clients do, as plain data made from a seed: in two namespaces that are next to each other, and
 * beside both. Keys are latin1 text, as their client has them.
 */
import { randomFrom } from '../reads/fire.ts';

/** Who does something: a client in a namespace, or one of etcd itself, beside them. */
export type Actor = 'a/' | 'a0' | '';

/** The namespaces: the second one begins right behind the first. */
export const NAMESPACES = ['a/', 'a0'] as const;

/** By which way. */
const DOORS = ['grpc', 'grpc-web', 'connect-json', 'connect-proto'] as const;
export type Door = (typeof DOORS)[number];

/** A range as its client has it. */
export interface Span {
  readonly key: string;
  readonly end: string;
}

/** What a range is read for. */
export interface Read extends Span {
  readonly what: 'all' | 'keys' | 'count' | 'first' | 'streamed';
  readonly serializable: boolean;
}

/** One operation of a transaction. */
export type Operation =
  | { readonly op: 'read'; readonly read: Read }
  | { readonly op: 'put'; readonly key: string }
  | { readonly op: 'delete'; readonly span: Span }
  | { readonly op: 'txn'; readonly txn: Txn };

/** A transaction whose comparisons say that ranges are empty, or that all keys in them exist. */
export interface Txn {
  readonly compare: readonly (Span & { readonly exists: boolean })[];
  readonly success: readonly Operation[];
  readonly failure: readonly Operation[];
}

export type Act =
  | Plain
  | { readonly does: 'watch'; readonly span: Span; readonly browser: boolean }
  | { readonly does: 'ttl' }
  | { readonly does: 'lock'; readonly name: string }
  | { readonly does: 'election'; readonly name: string }
  | { readonly does: 'allow'; readonly span: Span }
  | { readonly does: 'forbid'; readonly span: Span }
  | { readonly does: 'role' }
  | { readonly does: 'raw'; readonly of: Plain; readonly edits: readonly Edit[] };

/** What is sent by one call of one message. */
export type Plain =
  | { readonly does: 'read'; readonly read: Read }
  | { readonly does: 'put'; readonly key: string; readonly leased: boolean }
  | { readonly does: 'delete'; readonly span: Span }
  | { readonly does: 'txn'; readonly txn: Txn };

/** A part of a message that is replaced. */
export interface Edit {
  /** Where, as a part of its length. */
  readonly at: number;
  /** How many bytes go. */
  readonly remove: number;
  readonly insert: readonly number[];
}

export interface Step {
  readonly actor: Actor;
  readonly door: Door;
  readonly act: Act;
}

/** Keys at the edges, seen from within or from outside; and what looks like the prefixes. */
const EDGES = [
  '',
  '\0',
  '\0\0',
  '\xff',
  '\xff\xff',
  'a',
  'a/',
  'a0',
  'a/\0',
  'a0\xff',
  'a.',
  'b',
  'k',
  'k\0',
  '.',
  '0',
];
const LETTERS = ['k', 'a', '\0', '\xff', '.', '0'];
const NAMES = ['', 'l', 'l/', 'a/', 'a0', '\xff', '\0'];

/** Tags, lengths and numbers that decoders may read in different ways; some of them lead to a key of outside. */
const ODD: readonly (readonly number[])[] = [
  [],
  [0x0a, 0x01, 0x61],
  [0x8a, 0x00, 0x01, 0x61],
  [0x8a, 0x80, 0x80, 0x80, 0x80, 0x01, 0x01, 0x61],
  [0x8a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02, 0x01, 0x61],
  [0x12, 0x01, 0x00],
  [0x92, 0x80, 0x80, 0x80, 0x80, 0x01, 0x01, 0x00],
  [0x0a, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02, 0x61],
  [0x0b, 0x0a, 0x01, 0x61, 0x0c],
  [0x7a, 0x03, 0x0a, 0x01, 0x61],
  [0x0a, 0x00],
  [0x80],
  [0xff, 0xff, 0xff, 0xff, 0xff],
  [0x0e],
  [0x22, 0x05, 0x12, 0x03, 0x0a, 0x01, 0x61],
];

class Maker {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
  }

  step(): Step {
    const actor = this.#of(['a/', 'a/', 'a0', 'a0', ''] as const);
    // Beside the namespaces etcd itself is asked, which has no other door.
    if (actor === '') return { actor, door: 'grpc', act: this.#outside() };
    return { actor, door: this.#of(DOORS), act: this.#act() };
  }

  #of<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.#random() * choices.length)] as T;
  }

  #chance(of: number): boolean {
    return this.#random() < of;
  }

  #key(): string {
    if (this.#chance(0.6)) return this.#of(EDGES);
    return Array.from({ length: 1 + Math.floor(3 * this.#random()) }, () => this.#of(LETTERS)).join('');
  }

  #span(): Span {
    const end = this.#of(['none', 'from', 'key', 'key'] as const);
    return { key: this.#key(), end: end === 'none' ? '' : end === 'from' ? '\0' : this.#key() };
  }

  #read(): Read {
    const what = this.#of(['all', 'all', 'keys', 'count', 'first', 'streamed'] as const);
    return { ...this.#span(), what, serializable: this.#chance(0.3) };
  }

  #txn(depth: number): Txn {
    const operations = (): Operation[] =>
      Array.from({ length: Math.floor(3 * this.#random()) }, () => this.#operation(depth));
    const compare = Array.from({ length: Math.floor(3 * this.#random()) }, () => ({
      ...this.#span(),
      exists: this.#chance(0.5),
    }));
    return { compare, success: operations(), failure: operations() };
  }

  #operation(depth: number): Operation {
    const op = this.#of(
      depth < 3 ? (['read', 'read', 'put', 'delete', 'txn'] as const) : (['read', 'put'] as const),
    );
    if (op === 'read') {
      const read = this.#read();
      return { op, read: { ...read, what: read.what === 'streamed' ? 'all' : read.what } };
    }
    if (op === 'put') return { op, key: this.#key() };
    if (op === 'delete') return { op, span: this.#span() };
    return { op, txn: this.#txn(depth + 1) };
  }

  #act(): Act {
    const kinds = [
      'read',
      'read',
      'read',
      'put',
      'put',
      'put',
      'delete',
      'txn',
      'txn',
      'txn',
      'watch',
    ] as const;
    const rare = ['ttl', 'lock', 'election', 'allow', 'forbid', 'role', 'raw', 'raw', 'raw'] as const;
    const does = this.#of([...kinds, ...rare]);
    switch (does) {
      case 'read':
        return { does, read: this.#read() };
      case 'put':
        return { does, key: this.#key(), leased: this.#chance(0.3) };
      case 'delete':
      case 'allow':
      case 'forbid':
        return { does, span: this.#span() };
      case 'txn':
        return { does, txn: this.#txn(0) };
      case 'watch':
        return { does, span: this.#span(), browser: this.#chance(0.3) };
      case 'lock':
      case 'election':
        return { does, name: this.#of(NAMES) };
      case 'raw':
        return { does, of: this.#plain(), edits: Array.from({ length: 2 }, () => this.#edit()) };
      default:
        return { does };
    }
  }

  #plain(): Plain {
    for (;;) {
      const act = this.#act();
      if (act.does === 'read' || act.does === 'put' || act.does === 'delete' || act.does === 'txn')
        return act;
    }
  }

  #edit(): Edit {
    const at = this.#of([0, 1, this.#random()]);
    return { at, remove: this.#of([0, 0, 1, 2]), insert: this.#of(ODD) };
  }

  /** What happens beside the namespaces is there to be seen, if it could be. */
  #outside(): Act {
    const keys = ['a', 'a.', 'a.\xff', 'a/', 'a0', 'a1', 'b', '\0', '\xff', '\xff\xff', 'k', 'l/1', 'k\0'];
    if (this.#chance(0.3))
      return { does: 'allow', span: { key: this.#of(keys), end: this.#of(['', '\0', 'b']) } };
    return { does: 'put', key: this.#of(keys), leased: this.#chance(0.3) };
  }
}

/** So many steps. */
export function stepsFrom(seed: number, count: number): Step[] {
  const maker = new Maker(seed);
  return Array.from({ length: count }, () => maker.step());
}
