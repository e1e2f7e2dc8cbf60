/**
 * Loaded into a proxy before its program (`node --import`): names that end in `.test`, and all that are in it, have the addresses
 * that a file says, one line a name, read anew for each question as a resolver without a cache would. The operating system has no
 * such names that a test could change.
 */
import dns from 'node:dns';
import { readFileSync } from 'node:fs';

const original = dns.lookup;

dns.lookup = (host, options, callback = options) => {
  const lines = readFileSync(process.env.TEST_HOSTS, 'utf8').split('\n');
  const found = lines.map((line) => line.split(' ')).find(([name]) => name === host);
  if (found === undefined && !host.endsWith('.test')) return original(host, options, callback);
  const addresses = (found ?? []).slice(1).map((address) => ({ address, family: 4 }));
  process.nextTick(() => {
    if (addresses.length === 0) callback(Object.assign(new Error(`no ${host}`), { code: 'ENOTFOUND' }));
    else if (options.all === true) callback(null, addresses);
    else callback(null, addresses[0].address, 4);
  });
};
