/**
 * Something made from files, made again when they change. What cannot be made leaves what was there before, and
 * is said; it is tried again, since what was in the way need not be in the files: a process without a free descriptor, a
 * file system that is away.
 */
import { FileWatch, type FileWatchSettings } from './file-watch.ts';
import type { FlaggedFile, TlsSide } from './settings.ts';

/** Is told how reloading goes. */
export interface ReloadObserver {
  /** In use from now on. `expires` is the end of the shown certificate's validity, where one is shown. */
  onLoaded(side: TlsSide, expires: Date | undefined): void;
  /** The files changed, or a reload was asked for, and the new state is in use. */
  onReloaded(side: TlsSide): void;
  /** The old state stays in use. */
  onReloadFailed(side: TlsSide, problem: string): void;
}

/** What is made from files. */
export interface Loaded {
  readonly expires: Date | undefined;
}

/** Where it comes from. */
export interface ReloadSource<T extends Loaded> {
  /** The files, which exist when it has settled as far as it is the proxy that makes them. */
  paths(): Promise<readonly string[]>;
  load(): Promise<T>;
}

/** The paths of those files that there are. */
export function pathsOf(...files: readonly (FlaggedFile | undefined)[]): string[] {
  return files.flatMap((file) => (file === undefined ? [] : [file.path]));
}

/** Holds the latest good state. */
export class Reloading<T extends Loaded> {
  readonly #side: TlsSide;
  readonly #source: ReloadSource<T>;
  readonly #observer: ReloadObserver;
  readonly #watchSettings: Partial<FileWatchSettings>;
  readonly #listeners: ((current: T) => void)[] = [];
  #current: T | undefined;
  #watch: FileWatch | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  /** Whether a failure is told although it is the same as the one before. */
  #tells = false;
  #problem: string | undefined;
  #closed = false;

  constructor(
    side: TlsSide,
    source: ReloadSource<T>,
    observer: ReloadObserver,
    watchSettings: Partial<FileWatchSettings> = {},
  ) {
    this.#side = side;
    this.#source = source;
    this.#observer = observer;
    this.#watchSettings = watchSettings;
  }

  /** Whether there is a state yet. */
  get loaded(): boolean {
    return this.#current !== undefined;
  }

  /** The latest good state. @throws Error before `start` */
  get current(): T {
    if (this.#current === undefined) throw new Error('TLS files are not loaded yet');
    return this.#current;
  }

  /** Calls `listener` with every state that comes into use from now on. */
  onLoad(listener: (current: T) => void): void {
    this.#listeners.push(listener);
  }

  /** Loads for the first time and begins to watch. @throws whatever the source throws */
  async start(): Promise<void> {
    const paths = await this.#source.paths();
    if (this.#closed) return;
    // Watched first: nothing that changes while it is read goes unnoticed.
    if (paths.length > 0)
      this.#watch = new FileWatch(paths, (isNew) => void this.#reload(isNew), this.#watchSettings);
    try {
      this.#use(await this.#source.load());
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Loads again; never rejects. Calls that come during a reload are answered by one more after it. */
  reload(): Promise<void> {
    return this.#reload(true);
  }

  /** Stops to watch the files. */
  close(): void {
    this.#closed = true;
    this.#watch?.close();
  }

  #reload(tells: boolean): Promise<void> {
    this.#again = true;
    this.#tells ||= tells;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false;
      this.#watch?.markSeen();
      await this.#tryReload();
    }
  }

  async #tryReload(): Promise<void> {
    const tells = this.#tells;
    this.#tells = false;
    try {
      this.#use(await this.#source.load());
      this.#problem = undefined;
      this.#observer.onReloaded(this.#side);
    } catch (error) {
      const problem = (error as Error).message;
      if (tells || problem !== this.#problem) this.#observer.onReloadFailed(this.#side, problem);
      this.#problem = problem;
      this.#watch?.lookAgain();
    }
  }

  #use(loaded: T): void {
    this.#current = loaded;
    this.#observer.onLoaded(this.#side, loaded.expires);
    for (const listener of this.#listeners) listener(loaded);
  }
}
