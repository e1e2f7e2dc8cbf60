/** Streams of clients by themselves, with a scripted etcd: who shares, who is read, and what is left when they are over. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lease } from '../../src/etcd/methods.ts';
import { leaseService } from '../../src/lease/client-stream.ts';
import { Leases } from '../../src/lease/leases.ts';
import { type Client, ITSELF } from '../../src/rpc/client.ts';
import type { ServerStream, ServerStreamListener } from '../../src/rpc/contract.ts';
import { Metadata, NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { Code, RpcError, type Status } from '../../src/rpc/status.ts';
import { beat } from './beats.ts';
import { ScriptedEtcd } from './scripted.ts';

/** A client's stream. */
class Caller implements ServerStream {
  listener!: ServerStreamListener;
  replies = 0;
  status: Status | undefined;
  paused = false;
  held = 0;

  beat(...ids: readonly bigint[]): void {
    for (const id of ids) this.listener.onMessage(beat(id));
  }

  sendHeaders(): void {}

  send(): boolean {
    this.replies++;
    return true;
  }

  sendJoined(): never {
    throw new Error('answers are whole');
  }

  end(status: Status): void {
    this.status = status;
  }

  hold(bytes: number): void {
    this.held += bytes;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }
}

function scene() {
  const etcd = new ScriptedEtcd();
  const leases = new Leases(etcd);
  const serve = leaseService(leases, etcd, { add: () => {}, remove: () => {} });
  const open = (client: Client, metadata: Metadata = NO_METADATA): Caller => {
    const caller = new Caller();
    serve(caller, new OwnCall(Lease.LeaseKeepAlive, metadata, Number.POSITIVE_INFINITY, client));
    return caller;
  };
  const { stats } = leases;
  return { etcd, leases, stats, open };
}

const connection = (): Client => ({ ...ITSELF });

/** How long streams stay that no client uses, and more. */
const LINGERED = 6000;

test('of an identity that was refused nothing stays when its clients are gone, however often they come', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { etcd, leases, stats, open } = scene();
  const refused = connection();
  const metadata = new Metadata(['token', 'ann.1']);
  const caller = open(refused, metadata);
  caller.beat(1n);
  etcd.streams[0]?.listener.onEnd(new RpcError(Code.PERMISSION_DENIED, 'no'), NO_METADATA);
  assert.equal(caller.status?.code, Code.PERMISSION_DENIED);
  t.mock.timers.tick(LINGERED);
  assert.equal(leases.size, 0);
  open(refused, metadata);
  assert.equal(stats.apart.refused, 1);
  t.mock.timers.tick(LINGERED);
  assert.equal(leases.size, 0);
  leases.close();
});
