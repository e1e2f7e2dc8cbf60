/**
 * Some of the attackers as a process of its own: `attackers.ts <host:port> <frames|calls|web>`. They attack until the
 * input ends; then a line says what each has done.
 */
import { assail, type Tally } from './assault.ts';
import { CALL_ASSAULTS } from './calls.ts';
import { playFrames } from './frames.ts';
import { WEB_ASSAULTS } from './web.ts';

const [address, group] = process.argv.slice(2) as [string, string];

function begin(): Tally[] {
  if (group === 'frames') return playFrames(address);
  return (group === 'calls' ? CALL_ASSAULTS : WEB_ASSAULTS).map((assault) => assail(assault, address));
}

const tallies = begin();
process.stdout.write('attacking\n');
process.stdin.on('end', () => {
  process.stdout.write(`tallies ${JSON.stringify(tallies)}\n`, () => process.exit());
});
process.stdin.resume();
