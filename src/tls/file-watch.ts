/**
 * Notices that one of a few files has changed, however it was replaced: written in place, renamed over, or, as
 * Kubernetes does with secrets, by turning a symbolic link of its folder somewhere else. Folders are watched,
 * since a watch on a file ends with the file; and files are looked at now and then, since some file systems
 * report nothing and a link may lead out of the watched folder.
 */
import { type FSWatcher, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';

/** How a watch behaves; times in milliseconds. */
export interface FileWatchSettings {
  /** How often the files are looked at. */
  readonly pollMs: number;
  /** How long after a change they are looked at: whoever replaces several files gets the time to finish. */
  readonly settleMs: number;
  /** Whether folders are watched too. */
  readonly events: boolean;
}

/** The settings that hold unless told otherwise. */
const FILE_WATCH_DEFAULTS: FileWatchSettings = { pollMs: 5000, settleMs: 100, events: true };

/** A watch over some files, until it is closed. It does not keep the program alive. */
export class FileWatch {
  readonly #paths: readonly string[];
  readonly #changed: (isNew: boolean) => void;
  readonly #settings: FileWatchSettings;
  readonly #watchers: FSWatcher[] = [];
  readonly #poll: NodeJS.Timeout;
  #settle: NodeJS.Timeout | undefined;
  #seen: string;
  #looksAgain = false;

  /**
   * @param changed called once for changes that come together, never before the constructor has returned; `isNew` unless it
   *   was wanted again, see {@link lookAgain}
   */
  constructor(
    paths: readonly string[],
    changed: (isNew: boolean) => void,
    settings: Partial<FileWatchSettings> = {},
  ) {
    this.#paths = paths;
    this.#changed = changed;
    this.#settings = { ...FILE_WATCH_DEFAULTS, ...settings };
    this.#seen = this.#look();
    this.#poll = setInterval(() => this.#compare(), this.#settings.pollMs);
    this.#poll.unref();
    if (this.#settings.events) for (const folder of new Set(paths.map(dirname))) this.#watch(folder);
  }

  /** Takes the files as they are now for seen. */
  markSeen(): void {
    this.#seen = this.#look();
  }

  /** The next look calls back whatever it finds, since what was to be made of the files could not be. */
  lookAgain(): void {
    this.#looksAgain = true;
  }

  close(): void {
    clearInterval(this.#poll);
    clearTimeout(this.#settle);
    for (const watcher of this.#watchers) watcher.close();
  }

  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#settleSoon());
      // A folder that goes away, or a system that is out of watches: looking now and then still works.
      watcher.on('error', () => watcher.close());
      this.#watchers.push(watcher);
    } catch {
      // As above.
    }
  }

  #settleSoon(): void {
    clearTimeout(this.#settle);
    this.#settle = setTimeout(() => this.#compare(), this.#settings.settleMs);
    this.#settle.unref();
  }

  #compare(): void {
    const now = this.#look();
    const isNew = now !== this.#seen;
    if (!isNew && !this.#looksAgain) return;
    this.#looksAgain = false;
    this.#seen = now;
    this.#changed(isNew);
  }

  /** What tells one state of the files from another. */
  #look(): string {
    return this.#paths
      .map((path) => {
        try {
          const { dev, ino, mtimeNs, size } = statSync(path, { bigint: true });
          return `${dev}:${ino}:${mtimeNs}:${size}`;
        } catch (error) {
          // Missing, or in a folder that may not be looked into: whoever reads it says so.
          return (error as NodeJS.ErrnoException).code ?? '';
        }
      })
      .join(' ');
  }
}
