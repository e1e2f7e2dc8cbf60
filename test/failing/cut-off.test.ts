/** A member that lost its peers is left: its clients reach it, and it answers all but nothing. */
import { testRehearsals } from './expect.ts';
import { faults } from './faults.ts';

await testRehearsals(faults.cutFollower, faults.cutLeader);
