/** How many functions of some source files are called while something happens, counted by V8: no clock, and no spies in the code. */
import { Session } from 'node:inspector/promises';

/** @param under a part of the paths of the files whose functions count */
export async function functionCalls(under: string, act: () => void | Promise<void>): Promise<number> {
  const session = new Session();
  session.connect();
  try {
    await session.post('Profiler.enable');
    // Without `detailed`, which does not count what was compiled before.
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
    await act();
    const { result } = await session.post('Profiler.takePreciseCoverage');
    const functions = result.filter(({ url }) => url.includes(under)).flatMap((script) => script.functions);
    return functions.reduce((sum, { ranges }) => sum + (ranges[0]?.count ?? 0), 0);
  } finally {
    session.disconnect();
  }
}
