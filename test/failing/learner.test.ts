/** A learner, which refuses nearly every call, is not what clients are left with while voters are there. */
import { testRehearsals } from './expect.ts';
import { faults } from './faults.ts';

await testRehearsals(faults.learner);
