/** Very many watchers on one server, held by this process. */
import type { Create } from '../../test/support/watch-client.ts';
import { LoadConnection, LoadCounts, LoadStream } from '../../test/support/watch-load.ts';

/** A load of watchers on one contestant. */
export class Load implements Disposable {
  readonly counts = new LoadCounts();
  readonly streams: LoadStream[] = [];
  readonly #connections: LoadConnection[] = [];

  /** Opens connections with so many streams and watches each, and waits until all are created. */
  async open(
    address: string,
    connections: number,
    streams: number,
    watches: number,
    watch: (index: number) => Create,
  ): Promise<void> {
    let index = 0;
    for (let i = 0; i < connections; i++) {
      const connection = await LoadConnection.open(address);
      this.#connections.push(connection);
      for (let j = 0; j < streams; j++) {
        const wishes = Array.from({ length: watches }, () => watch(index++));
        this.streams.push(new LoadStream(connection, this.counts, wishes));
        if (index % 10_000 < watches) await this.created(index - 20_000);
      }
    }
    await this.created(index);
  }

  created(count: number): Promise<void> {
    return this.counts.reach(() => this.counts.created >= count, 180_000);
  }

  /** Waits until so many events have come; some never do where a server ends the streams of slow clients. */
  async events(count: number, limitMs = 60_000): Promise<void> {
    const { counts } = this;
    await counts.reach(() => counts.events >= count || counts.ended > 0, limitMs);
    if (counts.events < count)
      throw new Error(`${counts.ended} streams ended, ${counts.events} of ${count} events`);
  }

  /** Waits until every stream has had so many events. @throws where one had more */
  async each(count: number): Promise<void> {
    await this.events(count * this.streams.length);
    const wrong = this.streams.find(({ events }) => events !== count);
    if (wrong !== undefined) throw new Error(`a stream had ${wrong.events} events instead of ${count}`);
  }

  [Symbol.dispose](): void {
    for (const connection of this.#connections) connection[Symbol.dispose]();
  }
}
