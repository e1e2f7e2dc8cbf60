/** The differential suite for what takes time, on etcds set to be quick about it; with `LONG=1` within a namespace as well. */
import { LONG } from '../support/releases.ts';
import { quickSettings, timeCases } from './cases/time.ts';
import { etcdsToCompare } from './settings.ts';
import { direct, grpc, web, within } from './side.ts';
import { compareSides } from './suite.ts';

const sides = [direct, grpc, web('connect-json', '1.1'), ...(LONG ? [within(grpc)] : [])];

for (const install of await etcdsToCompare()) compareSides('time', install, sides, quickSettings, timeCases);
