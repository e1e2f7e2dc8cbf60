/** Drives a gRPC method with h2load (nghttp2), an independent load generator. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProcess, tempDir } from '../../test/support/process.ts';

/** What to send and how much of it. */
export interface Load {
  readonly path: string;
  readonly message: Uint8Array;
  readonly requests: number;
  readonly connections: number;
  readonly streams: number;
  readonly tls?: boolean;
}

/** Sends the load to `host:port` and returns requests a second. Fails when a single request fails. */
export async function h2load(address: string, load: Load): Promise<number> {
  const envelope = Buffer.alloc(5 + load.message.length);
  envelope.writeUInt32BE(load.message.length, 1);
  envelope.set(load.message, 5);
  const file = join(await tempDir('h2load'), 'body');
  await writeFile(file, envelope);
  const { stdout, stderr, code } = await runProcess(
    'h2load',
    [
      `-c${load.connections}`,
      `-m${load.streams}`,
      `-n${load.requests}`,
      `-d${file}`,
      '--header=content-type: application/grpc',
      '--header=te: trailers',
      `${load.tls === true ? 'https' : 'http'}://${address}${load.path}`,
    ],
    { limitMs: 300_000 },
  );
  const rate = /([\d.]+) req\/s/.exec(stdout)?.[1];
  const succeeded = new RegExp(`${load.requests} succeeded, 0 failed, 0 errored`).test(stdout);
  if (code !== 0 || rate === undefined || !succeeded) throw new Error(`h2load failed:\n${stdout}${stderr}`);
  return Number(rate);
}
