/** Signals, caught from the first moment on: until somebody can act on one, it waits or ends the program. */

/** What the running program does about them. */
export interface SignalActions {
  /** SIGHUP. */
  reload(): void;
  /** SIGTERM or SIGINT. */
  stop(signal: NodeJS.Signals): void;
  /** One that means nothing here, and would by itself end the program or open a port for a debugger. */
  ignore(signal: NodeJS.Signals): void;
}

/** Takes the signals of this process. */
export class Signals {
  #actions: SignalActions | undefined;
  /** What came before there were actions, and can wait for them. */
  readonly #early = new Set<NodeJS.Signals>();

  constructor() {
    for (const name of ['SIGTERM', 'SIGINT', 'SIGUSR1', 'SIGUSR2', 'SIGHUP'] as const)
      process.on(name, (signal) => this.#take(signal));
  }

  /** The program runs: from now on it acts itself, first on what has come already. */
  actOn(actions: SignalActions): void {
    this.#actions = actions;
    for (const signal of this.#early) this.#take(signal);
    this.#early.clear();
  }

  #take(signal: NodeJS.Signals): void {
    const stops = signal === 'SIGTERM' || signal === 'SIGINT';
    // While the program starts there is nothing to drain: asked to stop, it stops.
    if (this.#actions === undefined && stops) process.exit(0);
    if (this.#actions === undefined) this.#early.add(signal);
    else if (stops) this.#actions.stop(signal);
    else if (signal === 'SIGHUP') this.#actions.reload();
    else this.#actions.ignore(signal);
  }
}
