/** What pages of other origins need of Connect's protocols. */
import { cors } from '@connectrpc/connect';

/** The methods of its requests. */
export const CONNECT_METHODS: readonly string[] = cors.allowedMethods;

/** The header fields of its answers that pages read. */
export const CONNECT_HEADERS: readonly string[] = cors.exposedHeaders;
