/** Progress that clients are told, with an etcd that answers, or passes over questions, as the test says. */
import { until } from '../support/until.ts';
import { b, type Create } from '../support/watch-client.ts';
import type { ScriptedClient } from './scripted-client.ts';
import { ScriptedHub } from './scripted-hub.ts';
import type { ScriptedWatch } from './scripted-upstream.ts';

/** How many questions etcd was asked on a stream. */
export const questions = (stream: ScriptedWatch): number => stream.stream.questions;

/** Waits until etcd is asked. */
export const asked = (stream: ScriptedWatch): Promise<boolean> =>
  until('a question', () => questions(stream) > 0);

export class ProgressScript extends ScriptedHub {
  constructor() {
    super({ historyRevisions: 6 });
  }

  /** A client that watches a key, and its watch on etcd. */
  async watched(key: string, options: Create = {}): Promise<[ScriptedClient, ScriptedWatch]> {
    return [await this.watching(key, options), await this.created(key)];
  }

  /** A client with two watches, and these on etcd. */
  async watchedBoth(
    key: string,
    other: string,
  ): Promise<[client: ScriptedClient, ScriptedWatch, ScriptedWatch]> {
    const [client, first] = await this.watched(key);
    client.watch({ key: b(other) });
    const second = await this.created(other);
    await until('the watches', () => client.responses.length === 2);
    return [client, first, second];
  }

  /** The same as {@link watched}, on a stream to etcd of its own. */
  apart(key: string): Promise<[ScriptedClient, ScriptedWatch]> {
    return this.watched(key, { prevKv: true });
  }

  /** A client that begins behind what the feed of a key remembers; the watch of that feed, and the one that brings it there. */
  async catchingUp(
    key: string,
  ): Promise<[client: ScriptedClient, main: ScriptedWatch, catchUp: ScriptedWatch]> {
    const [, main] = await this.watched(key);
    for (let i = 0; i < 9; i++) this.tell(main, key);
    const late = this.client();
    late.watch({ key: b(key), startRevision: 2n });
    return [late, main, await this.created(key, 2)];
  }

  /** etcd's answer to a question, at the store's revision. */
  answer(stream: ScriptedWatch): void {
    stream.say(this.upstream.revision, { watchId: -1n });
  }

  /** etcd passes over so many questions and answers the one after them. */
  async answerLater(stream: ScriptedWatch, passedOver: number): Promise<void> {
    const before = questions(stream);
    await until('another question', () => questions(stream) > before + passedOver);
    this.answer(stream);
  }
}
