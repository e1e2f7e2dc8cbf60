/**
 * The command that gets etcd for the tests: `node scripts/etcd/fetch.ts [versions...]`, where a version is a
 * release line such as 3.5 (or a full version of it) and none means all. It prints one line for each.
 */
import { etcdLines, type FetchOutcome, fetchEtcds } from './etcds.ts';

function tell({ line, status, detail }: FetchOutcome): void {
  console.log(`etcd ${line}: ${status}: ${detail}`);
}

const wanted = process.argv.slice(2).map((version) => version.split('.').slice(0, 2).join('.'));
const unknown = wanted.find((line) => !etcdLines.includes(line));
if (unknown !== undefined) {
  console.error(`no source for etcd ${unknown}; there is ${etcdLines.join(', ')}`);
  process.exitCode = 2;
} else {
  try {
    await fetchEtcds(wanted.length > 0 ? wanted : etcdLines, tell);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
