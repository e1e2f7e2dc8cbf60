/** Loaded into the proxy before its own code: at SIGUSR2 it writes its heap to the file that `MODEL_HEAP` names, and a line. */
import { writeHeapSnapshot } from 'node:v8';

process.on('SIGUSR2', () => {
  const file = writeHeapSnapshot(process.env.MODEL_HEAP, { exposeNumericValues: true });
  process.stderr.write(`${JSON.stringify({ msg: 'heap written', file })}\n`);
});
