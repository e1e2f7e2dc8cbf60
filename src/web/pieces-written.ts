/**
 * Writes to sockets in pieces of bounded size. Of a write Node.js tells only when the peer has taken all of it, and one may be
 * of many MB: so nobody could tell a client that reads it slowly from one that reads nothing.
 */
import type { Socket } from 'node:net';
import type { Writable } from 'node:stream';

/** The most that is given to the system at once. Bytes, or characters of text. */
const PIECE_BYTES = 64 << 10;

/** The encoding of what is no text, says Node.js of `writable._write`, whatever its types say. */
const BYTES = 'buffer' as string as BufferEncoding;

/** What a stream is given to write. */
type Parts = Parameters<NonNullable<Writable['_writev']>>[0];
type Written = Parameters<Writable['_write']>[2];

/**
 * From now on what is written to a socket goes in pieces, each when the system has taken the one before, which happens as fast
 * as the peer reads.
 * @param onPiece a piece is given to the system: it has taken all before it
 */
export function writeInPieces(socket: Socket, onPiece: () => void): void {
  const writeOne = socket._write.bind(socket);
  const writeMany = socket._writev?.bind(socket);
  const write = async (parts: Parts, onWritten: Written): Promise<void> => {
    try {
      for (const piece of piecesOf(parts)) {
        onPiece();
        await new Promise<void>((resolve, reject) =>
          writeOne(piece, BYTES, (error) => (error ? reject(error) : resolve())),
        );
      }
    } catch (error) {
      onWritten(error as Error);
      return;
    }
    onWritten();
  };
  socket._write = (chunk, encoding, onWritten) => {
    if (chunk.length > PIECE_BYTES) {
      void write([{ chunk, encoding }], onWritten);
      return;
    }
    onPiece();
    writeOne(chunk, encoding, onWritten);
  };
  socket._writev = (parts, onWritten) => {
    let length = 0;
    for (const { chunk } of parts) length += chunk.length;
    if (length > PIECE_BYTES || writeMany === undefined) {
      void write(parts, onWritten);
      return;
    }
    onPiece();
    writeMany(parts, onWritten);
  };
}

/** What is small goes together, what is large in pieces of itself. */
function* piecesOf(parts: Parts): Generator<Buffer> {
  let together: Buffer[] = [];
  let length = 0;
  for (const { chunk, encoding } of parts) {
    const bytes: Buffer = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
    for (let at = 0; at < bytes.length; ) {
      const piece = bytes.subarray(at, at + PIECE_BYTES - length);
      together.push(piece);
      at += piece.length;
      length += piece.length;
      if (length < PIECE_BYTES) continue;
      yield joined(together);
      together = [];
      length = 0;
    }
  }
  if (length > 0) yield joined(together);
}

function joined(parts: readonly Buffer[]): Buffer {
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
}
