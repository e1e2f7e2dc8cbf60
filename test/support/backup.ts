/** A store that is set back to a backup under the same cluster id, as an operator would from a copied folder. */
import { cp, rm } from 'node:fs/promises';
import type { EtcdMember } from './etcd-member.ts';

/** A copy of the data of a member. */
export class Backup implements AsyncDisposable {
  readonly #member: EtcdMember;
  readonly #folder: string;

  private constructor(member: EtcdMember) {
    this.#member = member;
    this.#folder = `${member.folder}.backup`;
  }

  /** Takes one; the member is stopped for it, and serves again afterwards. */
  static async of(member: EtcdMember): Promise<Backup> {
    const backup = new Backup(member);
    await member.stop();
    await cp(member.folder, backup.#folder, { recursive: true });
    await member.start();
    return backup;
  }

  /** Ends the member, and starts it with the data of the backup. What came later is lost. */
  async restore(): Promise<void> {
    const { folder } = this.#member;
    await this.#member.kill();
    await rm(folder, { recursive: true });
    await cp(this.#folder, folder, { recursive: true });
    await this.#member.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}
