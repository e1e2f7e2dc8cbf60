/**
 * The dynamic table of an HPACK decoder (RFC 7541 section 2.3.2): the newest field has the lowest index.
 * Fields are kept oldest first in a flat list; evicted ones are skipped over and cut off from time to time.
 */

/** RFC 7541 section 4.1: what each field costs beside the octets of its name and value. */
export const FIELD_OVERHEAD = 32;

/** The dynamic table of one direction of one connection. Sizes are in octets as in RFC 7541 section 4.1. */
export class DynamicTable {
  /** Moves with every change, so that what was learned from the table can be told to be out of date. */
  generation = 0;
  private fields: string[] = [];
  private first = 0;
  private octets = 0;
  private maximum: number;

  constructor(maximum: number) {
    this.maximum = maximum;
  }

  /** All that was ever inserted, in this order, where nothing else has happened to the table and all of it is there. */
  get inserted(): readonly string[] | undefined {
    const isWhole = this.first === 0 && this.fields.length === 2 * this.generation;
    return isWhole ? [...this.fields] : undefined;
  }

  /** The size the table may have at most; a new one evicts as needed (RFC 7541 section 4.3). */
  get maxSize(): number {
    return this.maximum;
  }

  set maxSize(octets: number) {
    this.maximum = octets;
    this.generation++;
    this.evict(octets);
  }

  /** The name of the field at `position`, 0 being the newest; undefined outside the table. */
  name(position: number): string | undefined {
    const at = this.fields.length - 2 - 2 * position;
    return at < this.first ? undefined : this.fields[at];
  }

  /** The value of the field at `position`, which must be inside the table. */
  value(position: number): string {
    return this.fields[this.fields.length - 1 - 2 * position] as string;
  }

  /** Inserts a field; one larger than the table empties it (RFC 7541 section 4.4). */
  insert(name: string, value: string): void {
    const size = name.length + value.length + FIELD_OVERHEAD;
    this.generation++;
    this.evict(this.maximum - size);
    if (size > this.maximum) return;
    this.fields.push(name, value);
    this.octets += size;
  }

  private evict(target: number): void {
    while (this.octets > target && this.first < this.fields.length) {
      const name = this.fields[this.first] as string;
      const value = this.fields[this.first + 1] as string;
      this.octets -= name.length + value.length + FIELD_OVERHEAD;
      this.first += 2;
    }
    if (this.first > 64 && this.first * 2 > this.fields.length) {
      this.fields = this.fields.slice(this.first);
      this.first = 0;
    }
  }
}
