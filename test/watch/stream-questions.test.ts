/** When a shared stream asks etcd how far it is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StreamQuestions } from '../../src/watch/rides/stream-questions.ts';

test('whoever wants an answer has a question asked, also right after a timer that came early for nobody', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setImmediate'] });
  let asked = 0;
  const stream = {
    mayAsk: true,
    wantsAnswer: true,
    sendQuestion: () => void asked++,
    guard: (act: () => void) => act(),
  };
  const questions = new StreamQuestions(stream);
  questions.want();
  t.mock.timers.tick(1);
  assert.equal(asked, 1);
  // Node's timers count from the beginning of a turn, which may be a while ago.
  stream.wantsAnswer = false;
  t.mock.timers.tick(10);
  stream.wantsAnswer = true;
  questions.want();
  t.mock.timers.tick(10);
  assert.equal(asked, 2);
  questions.close();
});
