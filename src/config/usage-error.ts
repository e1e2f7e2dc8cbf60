/** What is wrong with a command line. */

/** A command line the program does not understand. The message is one line for the user, who gets exit code 2. */
export class UsageError extends Error {}
