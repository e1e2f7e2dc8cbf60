/** What sources that look for endpoints have in common. */
import { type Endpoint, endpointKeyOf } from '../net/endpoint.ts';
import type { EndpointSource } from '../upstream/endpoint-source.ts';

/** A source that looks for endpoints, and keeps the last good list. */
export interface FoundEndpoints extends EndpointSource {
  /** The name of the flag that asks for it, without dashes: for logs and metrics. */
  readonly name: string;
  /** Whether its first look has ended, with whatever result. */
  readonly looked: boolean;
}

/** Is told how sources fare. */
export interface SourceObserver {
  /** A look went well. @param changed whether there is another list than before */
  onFound(source: string, endpoints: readonly Endpoint[], changed: boolean): void;
  /** A look failed; the list stays. @param cause names nothing secret */
  onFailed(source: string, cause: string): void;
  /** A cluster is not complete yet. */
  onWaiting(source: string, members: number, size: number): void;
  /** What was found is not used: it cannot be, or there is too much of it. */
  onLeftOut(count: number, reason: string): void;
  /** The list of endpoints to use has changed. @param widened nobody of what was found has answered: all that is known is tried */
  onUsed(endpoints: readonly Endpoint[], widened: boolean): void;
  /** The last good list is not kept, since its file cannot be written or read. */
  onNotKept(cause: string): void;
  /** A fault of the program surfaced. */
  onFault(error: unknown): void;
}

/** Why a look failed. The text is for the log, and names nothing secret. */
export class LookFailure extends Error {}

/** An error of the system or of another library, as a cause for the log. */
export function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  return code ?? error.message;
}

/** Whether two lists have the same endpoints, in whatever order. */
export function sameEndpoints(some: readonly Endpoint[], others: readonly Endpoint[]): boolean {
  const keys = new Set(some.map(endpointKeyOf));
  return (
    keys.size === new Set(others.map(endpointKeyOf)).size &&
    others.every((other) => keys.has(endpointKeyOf(other)))
  );
}
