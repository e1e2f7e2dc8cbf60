/** The rehearsal itself: where nothing fails, nothing is missed. */
import { testRehearsals } from './expect.ts';
import { faults } from './faults.ts';

await testRehearsals(faults.nothingFails);
