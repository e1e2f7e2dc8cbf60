/** The rules of sharing a streaming read, without a network: who joins, at what pace each goes on, and who has to go. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { FlightLimit } from '../../src/flights/flights.ts';
import { StreamFlights } from '../../src/flights/stream-flights.ts';
import type {
  Call,
  ClientStream,
  ClientStreamListener,
  ServerStream,
  Upstream,
} from '../../src/rpc/contract.ts';
import { Metadata, NO_METADATA } from '../../src/rpc/metadata.ts';
import { NO_STREAM_LISTENER } from '../../src/rpc/no-stream-listener.ts';
import { Code, OK, type Status } from '../../src/rpc/status.ts';
import { visitsOf } from '../support/visits.ts';
import { readCall } from './held-upstream.ts';

const A = Buffer.from('a');

/** A call to etcd that the test plays. */
class Etcd implements ClientStream {
  readonly call: Call;
  readonly listener: ClientStreamListener;
  readonly did: string[] = [];

  constructor(call: Call, listener: ClientStreamListener) {
    this.call = call;
    this.listener = listener;
  }

  send(message: Uint8Array): boolean {
    this.did.push(`send ${Buffer.from(message)}`);
    return true;
  }

  halfClose(): void {
    this.did.push('half-close');
  }

  pause(): void {
    this.did.push('pause');
  }

  resume(): void {
    this.did.push('resume');
  }

  cancel(): void {
    this.did.push('cancel');
  }

  says(...messages: string[]): void {
    for (const message of messages) this.listener.onMessage(Buffer.from(message));
  }

  ends(status: Status = OK): void {
    this.listener.onEnd(status, NO_METADATA);
  }
}

/** A client that takes so many messages before it has to be asked again. */
class Client implements ServerStream {
  listener = NO_STREAM_LISTENER;
  got = '';
  room: number;
  status: Status | undefined;
  headers = 0;
  readonly call: Call;
  /** What happens while it is sent something. */
  meanwhile: () => void = () => {};

  constructor(call: Call, room = Number.POSITIVE_INFINITY) {
    this.call = call;
    this.room = room;
  }

  sendHeaders(): void {
    this.headers++;
  }

  send(message: Uint8Array): boolean {
    this.got += Buffer.from(message).toString();
    this.room--;
    this.meanwhile();
    return this.room > 0;
  }

  sendJoined(): boolean {
    throw new Error('messages are passed on as they are');
  }

  end(status: Status): void {
    this.status = status;
  }

  hold(): void {}

  pause(): void {}

  resume(): void {}

  /** Takes so many more. */
  reads(room = Number.POSITIVE_INFINITY): void {
    this.room = room;
    this.listener.onDrain();
  }
}

function start(heldBytes = 1000, limits = { maxFlights: 100, maxPassengers: 100, maxKeyBytes: 1000 }) {
  const calls: Etcd[] = [];
  const upstream: Upstream = {
    unary: () => Promise.reject(new Error('no unary calls here')),
    stream(call, listener) {
      calls.push(new Etcd(call, listener));
      return calls.at(-1) as Etcd;
    },
  };
  const seen = { sent: 0, ended: 0, joined: 0, refused: [] as FlightLimit[] };
  const forwarded: Client[] = [];
  const flights = new StreamFlights({
    upstream,
    forward(client) {
      forwarded.push(client as Client);
      client.listener = { ...NO_STREAM_LISTENER, onMessage: (message) => void client.send(message) };
    },
    limits,
    heldBytes,
    observer: {
      onSent: () => void seen.sent++,
      onEnded: () => void seen.ended++,
      onJoined: () => void seen.joined++,
      onRefused: (limit) => void seen.refused.push(limit),
    },
  });
  const open = (room?: number, request = A, call: Call = readCall()): Client => {
    const client = new Client(call, room);
    flights.serve(client, call);
    client.listener.onMessage(request);
    client.listener.onHalfClose();
    return client;
  };
  const at = (index: number): Etcd => {
    const call = calls[index];
    assert.ok(call, `call ${index} was sent`);
    return call;
  };
  return { flights, calls, at, open, seen, forwarded };
}

describe('joining', () => {
  test('nobody joins a call that was sent; those who wait share the next one', () => {
    const { calls, at, open, seen } = start();
    const first = open();
    const [second, third] = [open(), open()];
    assert.equal(calls.length, 1);
    assert.deepEqual(at(0).did, ['send a', 'half-close']);
    at(0).says('1', '2');
    at(0).ends();
    assert.deepEqual([first.got, first.status], ['12', OK]);
    assert.equal(calls.length, 2);
    assert.deepEqual([second.got, third.got], ['', '']);
    at(1).listener.onHeaders(new Metadata(['x', 'y']));
    at(1).says('3', '4');
    at(1).ends();
    for (const client of [second, third]) {
      assert.deepEqual([client.got, client.status, client.headers], ['34', OK, 1]);
      assert.deepEqual(client.call.responseHeaders.fields, ['x', 'y']);
    }
    assert.deepEqual(seen, { sent: 2, ended: 2, joined: 1, refused: [] });
    open();
    assert.equal(calls.length, 3, 'at rest again');
  });

  test('other requests and other clients have calls of their own', () => {
    const { calls, open } = start();
    open();
    open(undefined, Buffer.from('b'));
    open(undefined, A, readCall(['token', 'x']));
    open(undefined, A, readCall(['token', 'y']));
    assert.equal(calls.length, 4);
  });

  test('an error is that of every passenger', () => {
    const { at, open } = start();
    open();
    const both = [open(), open()];
    at(0).ends();
    const status = { ...OK, code: Code.OUT_OF_RANGE, message: 'compacted' };
    at(1).ends(status);
    assert.deepEqual(
      both.map((client) => client.status),
      [status, status],
    );
  });

  test('what cannot be shared is forwarded with all that was sent', () => {
    const { flights, calls, open, forwarded, seen } = start(1000, {
      maxFlights: 1,
      maxPassengers: 1,
      maxKeyBytes: 10,
    });
    const chatty = new Client(readCall());
    flights.serve(chatty, chatty.call);
    chatty.listener.onMessage(A);
    chatty.listener.onMessage(Buffer.from('more'));
    const silent = new Client(readCall());
    flights.serve(silent, silent.call);
    silent.listener.onHalfClose();
    const large = open(undefined, Buffer.alloc(20, 'x'));
    open();
    const [, crowd] = [open(), open()];
    const other = open(undefined, Buffer.from('b'));
    assert.deepEqual(forwarded, [chatty, silent, large, crowd, other]);
    assert.deepEqual(
      forwarded.map(({ got }) => got),
      ['amore', '', 'x'.repeat(20), 'a', 'b'],
    );
    assert.equal(calls.length, 1);
    assert.deepEqual(seen.refused, ['key_bytes', 'members', 'flights']);
  });
});

describe('pace', () => {
  /** A flight of three behind a call that has ended. */
  function three(heldBytes: number, rooms: readonly number[]) {
    const scene = start(heldBytes);
    scene.open();
    const clients = rooms.map((room) => scene.open(room));
    scene.at(0).ends();
    return { ...scene, clients, etcd: scene.at(1) };
  }

  test('each goes on by itself, and etcd waits only while nobody reads', () => {
    const { flights, clients, etcd } = three(1000, [1, 2, 3]);
    etcd.says('1', '2', '3');
    assert.deepEqual(
      clients.map(({ got }) => got),
      ['1', '12', '123'],
    );
    assert.equal(flights.held.bytes, 2, 'what the slowest has not');
    assert.deepEqual(etcd.did.slice(2), ['pause']);
    clients[1]?.reads(1);
    assert.deepEqual(etcd.did.slice(2), ['pause'], 'it takes what is there, and no more');
    clients[2]?.reads();
    assert.deepEqual(etcd.did.slice(2), ['pause', 'resume']);
    etcd.says('4');
    etcd.ends();
    assert.deepEqual(
      clients.map(({ status }) => status),
      [undefined, undefined, OK],
    );
    clients[0]?.reads();
    clients[1]?.reads();
    assert.deepEqual(
      clients.map(({ got, status }) => [got, status]),
      [1, 2, 3].map(() => ['1234', OK]),
    );
    assert.equal(flights.held.bytes, 0);
  });

  test('the slowest has to go when too much is kept, and nobody else', () => {
    const { flights, clients, etcd, seen } = three(4, [2, 1, 1000]);
    etcd.says('1', '2', '3', '4', '5');
    assert.deepEqual(
      clients.map(({ status }) => status?.code),
      [undefined, undefined, undefined],
    );
    etcd.says('6');
    assert.deepEqual(
      clients.map(({ status }) => status?.code),
      [undefined, Code.UNAVAILABLE, undefined],
    );
    assert.deepEqual(seen.refused, ['held_bytes']);
    assert.equal(flights.held.bytes, 4);
    clients[0]?.reads();
    etcd.ends();
    assert.deepEqual([clients[0]?.got, clients[2]?.got, clients[1]?.got], ['123456', '123456', '1']);
    assert.equal(flights.held.bytes, 0);
  });

  test('clients that do not read do not hold up those who came later', () => {
    const { calls, open, at } = start();
    const stopped = open(1);
    const later = open();
    at(0).says('1');
    assert.deepEqual(at(0).did.slice(2), ['pause']);
    assert.equal(calls.length, 2);
    at(1).says('2');
    at(1).ends();
    assert.deepEqual([later.got, later.status], ['2', OK]);
    stopped.reads();
    at(0).says('3');
    at(0).ends();
    assert.deepEqual([stopped.got, stopped.status], ['13', OK]);
    open();
    assert.equal(calls.length, 3);
  });

  test('a client that leaves takes nothing from the others; the last one ends the call', () => {
    const { flights, clients, etcd, calls, open } = three(1000, [1, 1000, 1000]);
    etcd.says('1', '2');
    clients[0]?.listener.onCancel();
    assert.equal(flights.held.bytes, 0);
    clients[1]?.listener.onCancel();
    etcd.says('3');
    assert.equal(clients[2]?.got, '123');
    const next = open();
    assert.equal(calls.length, 2);
    clients[2]?.listener.onCancel();
    assert.equal(etcd.did.at(-1), 'cancel');
    assert.equal(calls.length, 3);
    assert.equal(next.status, undefined);
  });

  test('when all that still read have left, etcd waits for the rest', () => {
    const { clients, etcd } = three(1000, [1, 1000, 1000]);
    etcd.says('1', '2');
    clients[1]?.listener.onCancel();
    assert.equal(etcd.did.at(-1), 'half-close');
    clients[2]?.listener.onCancel();
    assert.equal(etcd.did.at(-1), 'pause');
    clients[0]?.reads();
    assert.equal(etcd.did.at(-1), 'resume');
    assert.equal(clients[0]?.got, '12');
  });

  test('nobody has to go where that frees nothing: all are as slow as each other', () => {
    const { flights, clients, etcd } = three(4, [1, 1, 1]);
    etcd.says('1', '2', '3', '4', '5', '6');
    assert.equal(etcd.did.at(-1), 'pause');
    for (const client of clients) client.reads();
    etcd.ends();
    for (const { got, status } of clients) assert.deepEqual([got, status], ['123456', OK]);
    assert.equal(flights.held.bytes, 0);
  });

  test('who leaves while messages are given out takes none from those whose turn comes after', () => {
    const { flights, clients, etcd } = three(1000, [1000, 1000, 1000]);
    const [first, second, third] = clients as [Client, Client, Client];
    first.meanwhile = () => second.listener.onCancel();
    etcd.says('1', '2');
    assert.deepEqual([first.got, second.got, third.got], ['12', '', '12']);
    third.meanwhile = () => third.listener.onCancel();
    third.room = 1;
    etcd.says('3', '4');
    assert.deepEqual([first.got, third.got], ['1234', '123']);
    assert.deepEqual([flights.held.bytes, etcd.did.at(-1)], [0, 'half-close']);
    first.meanwhile = () => first.listener.onCancel();
    first.room = 1;
    etcd.says('5');
    assert.deepEqual([flights.held.bytes, etcd.did.at(-1)], [0, 'cancel']);
  });

  test('one that was let go is sent nothing more, though it reads again', () => {
    const { clients, etcd } = three(4, [1, 1000, 1000]);
    etcd.says('1', '2', '3', '4', '5', '6');
    const [slow] = clients as [Client];
    assert.equal(slow.status?.code, Code.UNAVAILABLE);
    slow.reads();
    slow.listener.onCancel();
    etcd.says('7');
    etcd.ends();
    assert.equal(slow.got, '1');
    assert.deepEqual([clients[1]?.got, clients[2]?.got], ['1234567', '1234567']);
  });
});

describe('what is looked at', () => {
  /** So many clients of one flight, which gathers behind a call under way. */
  function many(count: number, room: number, heldBytes = 1000) {
    const limits = { maxFlights: 100, maxPassengers: count, maxKeyBytes: 1000 };
    const scene = start(heldBytes, limits);
    scene.open();
    const clients = Array.from({ length: count }, () => scene.open(room));
    return { ...scene, clients };
  }

  /** Each client may cost some visits, however many others there are. */
  async function isLinear(act: (count: number) => Promise<number>): Promise<void> {
    for (const count of [500, 1000]) {
      const visits = await act(count);
      assert.ok(visits <= 10 * count, `${visits} visits for ${count} clients`);
    }
  }

  test('when clients leave, before their call and during it', () =>
    isLinear(async (count) => {
      const waiting = many(count, 1);
      const under = many(count, 1);
      under.at(0).ends();
      under.at(1).says('1', '2');
      const visits = await visitsOf(() => {
        for (let i = 0; i < count; i++) {
          waiting.clients[i]?.listener.onCancel();
          under.clients[i]?.listener.onCancel();
        }
      });
      waiting.at(0).ends();
      assert.equal(waiting.calls.length, 1, 'nobody waits for another call');
      assert.equal(under.at(1).did.at(-1), 'cancel');
      assert.equal(under.flights.held.bytes, 0);
      return visits;
    }));

  test('when clients read slowly', () =>
    isLinear(async (count) => {
      const { clients, at, flights } = many(count, 1);
      at(0).ends();
      const visits = await visitsOf(() => {
        for (const message of ['1', '2', '3']) {
          at(1).says(message);
          for (let i = 0; i < count; i++) clients[i]?.reads(1);
        }
      });
      assert.ok(clients.every(({ got }) => got === '123'));
      assert.equal(flights.held.bytes, 0);
      return visits;
    }));

  test('when one reads and all others do not: at each message, and when they have to go', () =>
    isLinear(async (count) => {
      const { clients, at, flights, seen } = many(count, 1, 100);
      const reader = clients[0] as Client;
      reader.room = Number.POSITIVE_INFINITY;
      at(0).ends();
      const messages = Array.from({ length: 102 }, (_, i) => String(i % 10));
      const visits = await visitsOf(() => at(1).says(...messages));
      assert.equal(seen.refused.length, count - 1);
      assert.ok(clients.every((client) => client === reader || client.status?.code === Code.UNAVAILABLE));
      assert.equal(flights.held.bytes, 0);
      at(1).ends();
      assert.deepEqual([reader.got, reader.status], [messages.join(''), OK]);
      return visits - 2 * messages.length;
    }));
});
