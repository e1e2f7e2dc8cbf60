/** Hostile bytes of HTTP/2, on a few connections each and at a moderate pace. */
import { READ_ATTACKS } from '../../bench/support/read-attacks.ts';
import { Attacker } from '../http2/support/attacker.ts';
import { ATTACKS, type Attack, IMPATIENT } from '../http2/support/attacks.ts';
import * as raw from '../http2/support/raw-peer.ts';
import type { Tally } from './assault.ts';

const PACE_MS = 1000;
/** Connections of those that take many. */
const SLOW_CONNECTIONS = 50;

/** So that answers do not come to a halt on a connection whose client never says that it has read them. */
const WINDOW = raw.frame('WINDOW_UPDATE', 0, 0, raw.u32(0x3fffffff));

/** Milliseconds between rounds of those whose rounds are heavy; undefined where something else plays it. */
const PACES: Readonly<Record<string, number | undefined>> = {
  'large lists that are not read': 2000,
  'packed messages': 200,
  '900 gets a second, each given up after 0.2 s': 300,
  '4 000 gets at once with deadlines of 0.5 s': 5000,
};

interface Played {
  readonly attack: Attack;
  readonly pauseMs: number;
  readonly connections: number;
  /** Whether its connections give a large window. */
  readonly open: boolean;
}

const PLAYED: readonly Played[] = [
  ...ATTACKS.map((attack) => ({
    attack,
    pauseMs: PACE_MS,
    connections: attack.connections === undefined ? 1 : SLOW_CONNECTIONS,
    open: false,
  })),
  ...[...READ_ATTACKS, ...IMPATIENT].flatMap((attack) => {
    const pauseMs = PACES[attack.name];
    return pauseMs === undefined ? [] : [{ attack, pauseMs, connections: 1, open: attack.deaf !== true }];
  }),
];

/** Begins all of them. An operation is a round, often of hundreds of frames. */
export function playFrames(address: string): Tally[] {
  return PLAYED.map(({ attack, pauseMs, connections, open }) => {
    let rounds = 0;
    const send = (round: number): Buffer => {
      rounds++;
      return open && round === 0 ? Buffer.concat([WINDOW, attack.send(round)]) : attack.send(round);
    };
    const port = Number(address.split(':')[1]);
    const attacker = new Attacker(
      port,
      { ...attack, send, pauseMs },
      connections,
      Number.POSITIVE_INFINITY,
      PACE_MS,
    );
    return {
      name: attack.name,
      get rounds() {
        return rounds;
      },
      get operations() {
        return rounds;
      },
      get cut() {
        return attacker.cut;
      },
    };
  });
}
