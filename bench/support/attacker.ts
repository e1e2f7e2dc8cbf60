/**
 * A hostile client as a process of its own: `attacker.ts <port> <attack> <connections> <return after ms>`. It says
 * when it begins, attacks until its input ends, and then writes how many of its connections were cut off. The attack `nothing` only keeps a core busy, which
 * is what any attack does to everybody else on the same machine.
 */
import { Attacker } from '../../test/http2/support/attacker.ts';
import { attackNamed } from '../../test/http2/support/attacks.ts';
import { attackForever, grpcAttackNamed } from './grpc-attacks.ts';
import { HOARDS, hoardForever } from './hoards.ts';
import { READ_ATTACKS } from './read-attacks.ts';

const [port, name, connections, returnMs] = process.argv.slice(2) as [string, string, string, string];

function spin(): void {
  const end = performance.now() + 5;
  while (performance.now() < end);
  setImmediate(spin);
}

let attacker: Attacker | undefined;
let cut = 0;
const attack = grpcAttackNamed(name);
const greedy = HOARDS.find((one) => one.name === name);
const countCut = (): void => {
  cut++;
};
if (name === 'nothing') spin();
else if (attack !== undefined) attackForever(attack, `127.0.0.1:${port}`, Number(connections), countCut);
else if (greedy !== undefined) hoardForever(greedy, `127.0.0.1:${port}`, Number(connections), countCut);
else {
  const forever = Number.POSITIVE_INFINITY;
  const found = READ_ATTACKS.find((one) => one.name === name) ?? attackNamed(name);
  attacker = new Attacker(Number(port), found, Number(connections), forever, Number(returnMs));
}

process.stdout.write('attacking\n');
process.stdin.on('end', () => {
  process.stdout.write(`cut ${attacker?.cut ?? cut}\n`);
  process.exit();
});
process.stdin.resume();
