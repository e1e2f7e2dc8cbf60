/** A member that stands still for seconds, again and again, as with a disk that stalls. */
import { testRehearsals } from './expect.ts';
import { faults } from './faults.ts';

await testRehearsals(faults.stalls);
