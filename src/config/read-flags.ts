/** The flags about reads that share calls or are answered from memory: a part of the one table of flags. */
import { flag, number } from './flag.ts';
import { ANY, SOME } from './limits.ts';

/** In the order of the help. */
export const READ_FLAGS = {
  'read-coalescing': flag(
    'switch',
    'on',
    'reads that ask the same at the same time share one call to etcd; off: each is forwarded by itself',
  ),
  'max-read-flights': number(
    'integer',
    '10000',
    ANY,
    'different reads in flight that others may share; one more is forwarded by itself',
  ),
  cache: flag(
    'switch',
    'on',
    'answer serializable reads from memory while a watch proves that nothing has changed; off: ask etcd',
  ),
  'cache-bytes': number('bytes', '67108864', ANY, 'memory for answers to serializable reads'),
  'cache-max-feeds': number(
    'integer',
    '1000',
    ANY,
    'watches on etcd for ranges that only the cache needs; further ranges are not remembered',
  ),
  'cache-prefix': flag(
    'list',
    '',
    'key prefixes held in memory (comma separated or repeated): reads inside them cost etcd no more than the question for its revision',
  ),
  'cache-prefix-bytes': number(
    'bytes',
    '268435456',
    SOME,
    'memory for each prefix; above it, its reads are forwarded',
  ),
  'cache-prefix-user-file': flag('string', '', 'older name of --user-file'),
  'cache-wait': number(
    'duration',
    '1s',
    ANY,
    'time in which a prefix in memory has to come as far as a read needs; then the read is forwarded',
  ),
  'cache-max-fallbacks': number(
    'integer',
    '128',
    SOME,
    'reads forwarded at once because a prefix in memory is behind; others wait in line',
  ),
};
