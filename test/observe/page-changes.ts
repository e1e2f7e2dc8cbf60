/** What changes on a page of metrics while something happens. */

/** The numbers on a page by their series. */
function numbersOn(page: string): Map<string, number> {
  const lines = page.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))] as const;
    }),
  );
}

/** The series whose numbers are others than before, and by how much. */
export function changesBetween(before: string, after: string): Record<string, number> {
  const old = numbersOn(before);
  const changes: Record<string, number> = {};
  for (const [series, value] of numbersOn(after)) {
    const change = value - (old.get(series) ?? 0);
    if (change !== 0) changes[series] = change;
  }
  for (const [series, value] of old)
    if (!numbersOn(after).has(series) && value !== 0) changes[series] = -value;
  return changes;
}

/** The names of the families on a page. */
export function familiesOn(page: string): string[] {
  return [...page.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name as string);
}
