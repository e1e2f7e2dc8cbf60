/** Pages that need etcd's answer within a second or a few: on a busy machine it may come too late for them. */
import { until } from './until.ts';

/** How such a page says that etcd was late. */
const LATE = /deadline exceeded|WATCH TIMEOUT|timed out/;

/** A page as it came. */
export interface Page {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** Fetches a page, again where it says that etcd was late. */
export function pageInTime(url: string, init: RequestInit = {}): Promise<Page> {
  return until(`a page for which etcd is not late: ${url}`, async () => {
    const page = await fetch(url, init);
    const text = await page.text();
    const isLate = page.status !== 200 && LATE.test(text);
    return !isLate && { status: page.status, headers: page.headers, text };
  });
}
