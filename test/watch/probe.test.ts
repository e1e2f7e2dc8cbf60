/** The read that tells many at once how far etcd is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { Probe, type ProbeResult } from '../../src/clients/probe.ts';

/** An answer at the next revision, each time. */
function counting(): () => Promise<Uint8Array> {
  let revision = 1n;
  return async () =>
    toBinary(RangeResponseSchema, create(RangeResponseSchema, { header: { revision: revision++ } }));
}

/** Asks, and waits for the answer. */
const ask = (probe: Probe): Promise<ProbeResult> =>
  new Promise((resolve) => probe.ask({ askedStart: 0, onProbed: resolve }));

const revisionIn = (result: ProbeResult | undefined): number | undefined =>
  result?.kind === 'ok' ? result.header.revision : undefined;

test('one that fails at its answer keeps nobody from theirs, and is reported', async () => {
  const probe = new Probe(counting(), 'a', '');
  const mistake = new Error('a mistake');
  const reported: unknown[] = [];
  process.setUncaughtExceptionCaptureCallback((error) => reported.push(error));
  try {
    probe.ask({
      askedStart: 0,
      onProbed: () => {
        throw mistake;
      },
    });
    const together = await ask(probe);
    assert.ok(together.kind === 'ok' && together.header.revision === 1, 'who asked at the same time');
    const later = await ask(probe);
    assert.ok(later.kind === 'ok' && later.header.revision === 2, 'who asks afterwards');
  } finally {
    process.setUncaughtExceptionCaptureCallback(null);
  }
  assert.deepEqual(reported, [mistake]);
});

test('who asks while a read is under way gets the next one', async () => {
  const answer = counting();
  const answers: Promise<ProbeResult>[] = [];
  const probe = new Probe(
    async () => {
      // The read has left: what it brings may be older than whoever asks now.
      if (answers.length === 2) answers.push(ask(probe));
      await new Promise((resolve) => setImmediate(resolve));
      return answer();
    },
    'a',
    '',
  );
  answers.push(ask(probe), ask(probe));
  const together = await Promise.all(answers.slice());
  assert.equal(answers.length, 3, 'one has asked while the read was under way');
  assert.deepEqual([...together, await answers[2]].map(revisionIn), [1, 1, 2]);
});

test('who asks in the answer of a read gets the next one', async () => {
  const probe = new Probe(counting(), 'a', '');
  const answers: Promise<ProbeResult>[] = [ask(probe), ask(probe)];
  await new Promise<void>((resolve) => {
    probe.ask({
      askedStart: 0,
      onProbed: () => {
        answers.push(ask(probe));
        resolve();
      },
    });
  });
  assert.deepEqual((await Promise.all(answers)).map(revisionIn), [1, 1, 2]);
});
