/**
 * The differential suite: calls of one message, direct and through the proxy in every protocol, on every etcd at
 * hand. Streams of messages are in streams.test.ts.
 */
import { casesInOrder } from './cases/in-order.ts';
import { etcdsToCompare, plainSettings } from './settings.ts';
import { sidesFor } from './side.ts';
import { compareSides } from './suite.ts';

const etcds = await etcdsToCompare();
for (const [index, install] of etcds.entries())
  compareSides('differential', install, sidesFor(index, etcds.length), plainSettings, casesInOrder);
