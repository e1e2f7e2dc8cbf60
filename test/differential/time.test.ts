/** The differential suite for what takes time, on etcds set to be quick about it. */
import { quickSettings, timeCases } from './cases/time.ts';
import { etcdsToCompare } from './settings.ts';
import { direct, grpc, web } from './side.ts';
import { compareSides } from './suite.ts';

for (const install of await etcdsToCompare())
  compareSides('time', install, [direct, grpc, web('connect-json', '1.1')], quickSettings, timeCases);
