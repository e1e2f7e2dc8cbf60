/** The flags of etcd's v2 proxy, as its command lines have them: a part of the one table of flags. */
import { flag } from './flag.ts';

/** In the order of the help. */
export const V2_FLAGS = {
  proxy: flag(
    'mode',
    '',
    'readwrite (also: on) or readonly (whatever may write is refused with UNIMPLEMENTED, in HTTP status 501); not given: readwrite',
  ),
};
