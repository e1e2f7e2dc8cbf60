/** A member that defragments answers nothing meanwhile, which takes seconds for each GiB. */
import { testRehearsals } from './expect.ts';
import { faults } from './faults.ts';

await testRehearsals(faults.defragmentsLittle);
