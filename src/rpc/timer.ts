/** What deadlines and timers have in common. */

/** The longest delay that a timer of Node.js takes, in milliseconds (24.8 days); a longer one would fire at once. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;
