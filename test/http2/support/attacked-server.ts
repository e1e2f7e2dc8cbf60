/**
 * A server of the engine in a process of its own, for tests that look at memory. Its calls take for ever. It writes
 * its port, and for each line that it reads one with its {@link Condition}.
 */
import { once } from 'node:events';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { type ConnectionHandle, type ConnectionListener, Http2Connection } from '../../../src/http2/index.ts';
import { collectGarbage } from '../../support/garbage.ts';
import { Exchange } from './exchange.ts';

/** What becomes of a server under attack. */
export interface Condition {
  /** Bytes in use after a collection, on the heap and in buffers. */
  readonly bytes: number;
  readonly connections: number;
  readonly streams: number;
  /** What listeners have thrown. */
  readonly failures: number;
}

const connections = new Set<ConnectionHandle>();
let failures = 0;

const listener: ConnectionListener = {
  onStream: (stream) => {
    stream.listener = new Exchange();
  },
  onReady: () => {},
  onGoaway: () => {},
  onStreamSlots: () => {},
  onClose: (connection) => connections.delete(connection),
  onFailure: () => failures++,
};

function condition(): Condition {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  let streams = 0;
  for (const { openStreams } of connections) streams += openStreams;
  return { bytes: heapUsed + external, connections: connections.size, streams, failures };
}

/** Less patience with floods than a real server has, and a rate that is a flood on a slow machine too. */
const settings = { maxFloodMs: 300, maxControlFramesPerSecond: 1000 };

const server = net.createServer((socket) => {
  connections.add(new Http2Connection(socket, 'server', listener, settings));
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
process.stdout.write(`port ${(server.address() as net.AddressInfo).port}\n`);
createInterface(process.stdin).on('line', () => {
  process.stdout.write(`${JSON.stringify(condition())}\n`);
});
