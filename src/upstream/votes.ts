/** Which cluster is meant, where endpoints are of several: the one that most of them belong to. */
import type { Candidate } from './candidate.ts';

/** Whether it is of another cluster than the known one. */
export function isForeign({ cluster }: Candidate, known: string | undefined): boolean {
  return cluster !== undefined && known !== undefined && cluster !== known;
}

/** The candidates of the cluster that most of them belong to, in their order. */
export function mostVoted(candidates: readonly Candidate[]): readonly Candidate[] {
  const [best] = [...candidates].sort((a, b) => votes(candidates, b) - votes(candidates, a));
  return candidates.filter(({ cluster }) => cluster === best?.cluster);
}

/** Whether one cluster has more than half of all endpoints. */
export function hasMajority(candidates: readonly Candidate[], of: number): boolean {
  return candidates.some((candidate) => votes(candidates, candidate) * 2 > of);
}

/** How many of the candidates belong to the same cluster as this one. */
export function votes(candidates: readonly Candidate[], { cluster }: Candidate): number {
  return candidates.filter((other) => other.cluster === cluster).length;
}
