/** A message within a message, while its keys are rewritten. */
import type { KeyFields } from '../etcd/key-fields.ts';

/** The message that the walk is in. One object for each depth, used again and again. */
export class OpenMessage {
  fields: KeyFields | undefined;
  end = 0;
  /** Where its length stood, and where its contents begin. */
  lengthAt = 0;
  start = 0;
  /** The index of its new length. */
  slot = 0;
  /** By how much it has grown so far. */
  growth = 0;
  /** Whether it lacks a field that it needs. */
  lacks = false;

  open(fields: KeyFields, lengthAt: number, start: number, end: number): void {
    this.fields = fields;
    this.lengthAt = lengthAt;
    this.start = start;
    this.end = end;
    this.growth = 0;
    this.lacks = fields.neededTag !== 0;
  }
}
