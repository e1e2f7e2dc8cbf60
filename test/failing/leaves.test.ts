/** A member that ends in the orderly way, or because it was removed from its cluster. */
import { testRehearsals } from './expect.ts';
import { faults } from './faults.ts';

await testRehearsals(faults.stopped, faults.removed);
