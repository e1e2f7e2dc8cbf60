/** What is wrong with a command line. */

/** A command line the program does not understand. The message is one line for the user. */
export class UsageError extends Error {
  /** Of the program; another one than 2 where the line is that of the incumbent, which stands alone. */
  readonly exitCode: number;

  constructor(message: string, exitCode = 2) {
    super(message);
    this.exitCode = exitCode;
  }
}
