/** How soon one question to etcd about progress follows another, of a feed or of a stream that feeds share. */

/** Not sooner than this, unless the one before was answered. Milliseconds. */
export const FIRST_QUESTION_MS = 10;

/** The delay grows up to this, while questions are not answered. Milliseconds. */
export const MAX_QUESTION_MS = 2000;
