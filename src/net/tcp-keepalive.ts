/** TCP asks a silent peer after so long whether it is still there. Milliseconds. */
export const TCP_KEEPALIVE_MS = 30_000;
