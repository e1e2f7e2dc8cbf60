/**
 * Values that differ from one etcd to the next, such as the ids of its members and the leases it names itself.
 * Each is replaced by a name that says which one it is, and by value only: a wrong id stays as it is and shows
 * up as a difference.
 */

/** The volatile values of one store, and on top of them those of one case. */
export class Names {
  private readonly whole = new Map<string, string>();
  private readonly parts = new Map<string, string>();
  private readonly counts = new Map<string, number>();
  private readonly above: Names | undefined;

  constructor(above?: Names) {
    this.above = above;
  }

  private nameFor(kind: string): string {
    const count = (this.counts.get(kind) ?? 0) + 1;
    this.counts.set(kind, count);
    return `<${kind} ${count}>`;
  }

  /** Learns a number, which stands alone in fields and in decimal or hexadecimal within texts. */
  learnId(kind: string, id: bigint): void {
    if (id === 0n || this.knows(`${id}`)) return;
    const name = this.nameFor(kind);
    this.whole.set(`${id}`, name);
    this.parts.set(`${id}`, name);
    this.parts.set(id.toString(16), name);
  }

  /** Learns a text wherever it occurs within another. */
  learnText(kind: string, text: string): void {
    if (text === '' || this.parts.has(text) || this.above?.parts.has(text) === true) return;
    this.parts.set(text, this.nameFor(kind));
  }

  private knows(value: string): boolean {
    return this.whole.has(value) || this.above?.knows(value) === true;
  }

  /** The name of a number, or the number. */
  number(value: bigint): string {
    const text = `${value}`;
    return this.whole.get(text) ?? this.above?.number(value) ?? text;
  }

  /** A text with all names in it in place of their values. */
  text(value: string): string {
    let replaced = value;
    for (const [part, name] of this.parts) replaced = replaced.replaceAll(part, name);
    return this.above?.text(replaced) ?? replaced;
  }
}
