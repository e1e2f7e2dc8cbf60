/**
 * What hostile clients cost in memory: a server in a process of its own is attacked over and over, and holds, while
 * it lasts, no more than the bounds of so many connections; afterwards nothing is left of it.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunningProcess, startProcess } from '../support/process.ts';
import { LONG } from '../support/releases.ts';
import { until } from '../support/until.ts';
import type { Condition } from './support/attacked-server.ts';
import { Attacker } from './support/attacker.ts';
import { ATTACKS, type Attack, IMPATIENT } from './support/attacks.ts';
import * as raw from './support/raw-peer.ts';

const MIB = 1 << 20;
/** Attacking connections at a time, and in all. */
const CONNECTIONS = 8;
const TOTAL = LONG ? 48 : 32;
/** What an attacking connection may hold: the frames in its socket, its HPACK table, its streams. */
const BOUND_PER_CONNECTION = 12 * MIB;
/** The same for one of the many that only wait: a frame that is not whole yet, and the connection itself. */
const BOUND_PER_WAITING = 64 << 10;
/** What code that has become hot, and caches of buffers, may add to a server that has just started. */
const SLACK = 16 * MIB;
const LIMIT_MS = 60_000;

describe('memory under attack', () => {
  let server: RunningProcess;
  let port: number;
  /** In use before the first attack. */
  let idle: number;
  before(async () => {
    server = await startProcess('node', [join(import.meta.dirname, 'support', 'attacked-server.ts')]);
    port = Number((await server.waitForLine(/^port /, LIMIT_MS)).slice('port '.length));
    idle = (await look()).bytes;
  });
  after(() => server?.stop());

  async function look(): Promise<Condition> {
    server.write('look\n');
    return JSON.parse(await server.waitForLine(/^\{/, LIMIT_MS)) as Condition;
  }

  /** Looks until all clients are gone and what was held for them is collected. */
  async function quiet(): Promise<Condition> {
    let found: Condition | undefined;
    const gone = async (): Promise<Condition | false> => {
      found = await look();
      return found.connections === 0 && found.bytes < idle + SLACK && found;
    };
    return until(() => `nothing is left but ${JSON.stringify(found)}`, gone, LIMIT_MS);
  }

  /** Attacks until so many connections were cut off; the most that the server held meanwhile. */
  async function untilCut(attack: Attack, total: number): Promise<{ most: number; attacker: Attacker }> {
    const attacker = new Attacker(port, attack, CONNECTIONS, total);
    let most = 0;
    const cut = async (): Promise<boolean> => {
      most = Math.max(most, (await look()).bytes);
      return attacker.cut >= total;
    };
    await until(() => `${total} connections are cut off, not ${attacker.cut}`, cut, LIMIT_MS);
    attacker.stop();
    return { most, attacker };
  }

  for (const attack of ATTACKS.filter(({ code }) => code !== undefined)) {
    test(attack.name, async (t) => {
      const { most, attacker } = await untilCut(attack, TOTAL);
      assert.equal(attacker.cut, TOTAL, 'every attacker was cut off');
      if (attack.deaf !== true) assert.deepEqual([...attacker.codes], [attack.code]);
      const left = await quiet();
      t.diagnostic(`${idle >> 10} KiB before, ${most >> 10} at most, ${left.bytes >> 10} afterwards`);
      assert.deepEqual([left.connections, left.streams, left.failures], [0, 0, 0]);
      assert.ok(most < idle + CONNECTIONS * BOUND_PER_CONNECTION + SLACK, `${most} bytes at most`);
      assert.ok(left.bytes < idle + SLACK, `${left.bytes} bytes are left`);
    });
  }

  test('clients that give up are no attack', async () => {
    const { send, pauseMs } = IMPATIENT[0] as Attack;
    const peer = raw.rawClient(port);
    const end = performance.now() + 8000;
    for (let round = 0; performance.now() < end; round++) {
      peer.send(send(round));
      // What piles up while the server stands still is a flood to it when it goes on.
      assert.ok(await peer.settled(), 'it is not cut off');
      await sleep(pauseMs);
    }
    peer.close();
    assert.equal((await quiet()).connections, 0);
  });

  for (const attack of ATTACKS.filter(({ code }) => code === undefined)) {
    test(`${attack.connections} connections: ${attack.name}`, async (t) => {
      const many = attack.connections as number;
      const attacker = new Attacker(port, attack, many, many);
      await until('all are connected', async () => (await look()).connections >= many, LIMIT_MS);
      await sleep(2 * (attack.pauseMs as number)); // for two rounds
      const during = await look();
      assert.equal(during.connections, many);
      attacker.stop();
      const left = await quiet();
      t.diagnostic(
        `${idle >> 10} KiB before, ${during.bytes >> 10} under attack, ${left.bytes >> 10} afterwards`,
      );
      assert.deepEqual([left.connections, left.streams, left.failures], [0, 0, 0]);
      assert.ok(during.bytes < idle + many * BOUND_PER_WAITING + SLACK, `${during.bytes} bytes`);
      assert.ok(left.bytes < idle + SLACK, `${left.bytes} bytes are left`);
    });
  }
});
