/** A member that stands still: its connection lives as far as the system can tell. */
import { testRehearsals } from './expect.ts';
import { faults } from './faults.ts';

await testRehearsals(faults.hangs, faults.leaderHangs);
