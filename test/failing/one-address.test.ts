/**
 * One endpoint that stands for many members: a load balancer with a backend that is stuck, and a name whose addresses
 * move. There is no other endpoint to go to, but a new connection goes elsewhere.
 */
import { testRehearsals } from './expect.ts';
import { faults } from './faults.ts';

await testRehearsals(faults.stuckBackend, faults.nameMoves);
